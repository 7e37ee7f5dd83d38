import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { parseStorePath, printNarInfo, STORE_DIR } from '@mesh/nix';
import { GATEWAY_NARS_AT_ONCE } from './constants.ts';
import { TransferError } from './errors.ts';
import type { ImportItem, OpenVerified } from './import/import.ts';

/** Paths offered for one import, until it is closed. */
export interface Offer {
  /** The first fault of a peer while its NAR was streamed: Nix itself only sees a broken download. */
  readonly fault: TransferError | undefined;
  close(): void;
}

interface Entry {
  readonly item: ImportItem;
  readonly signal: AbortSignal;
  readonly onPath: (item: ImportItem) => void;
  readonly onFault: (error: unknown) => void;
}

/**
 * An HTTP binary cache on loopback that offers what members hold: only paths whose infos were verified, only
 * while an import runs. NARs stream from the member and never complete unless their hash is right.
 * Whoever is on this machine may read it: it holds nothing that the store itself would not show.
 */
export class Gateway {
  readonly #openVerified: OpenVerified;
  readonly #entries = new Map<string, Entry>();
  readonly #waiting: (() => void)[] = [];
  #streaming = 0;
  #server: Promise<Server> | undefined;

  constructor(openVerified: OpenVerified) {
    this.#openVerified = openVerified;
  }

  /** `http://127.0.0.1:PORT`; listens from the first call on. */
  async url(): Promise<string> {
    this.#server ??= this.#listen();
    return `http://127.0.0.1:${((await this.#server).address() as AddressInfo).port}`;
  }

  /** Offers the items until the offer is closed or the signal aborts. */
  offer(items: readonly ImportItem[], signal: AbortSignal, onPath: (item: ImportItem) => void): Offer {
    let fault: TransferError | undefined;
    const onFault = (error: unknown) => {
      if (error instanceof TransferError) fault ??= error;
    };
    const own = items.map((item): [string, Entry] => [
      parseStorePath(item.info.path).hashPart,
      { item, signal, onPath, onFault },
    ]);
    for (const [hashPart, entry] of own) this.#entries.set(hashPart, entry);
    return {
      get fault() {
        return fault;
      },
      close: () => {
        for (const [hashPart, entry] of own) {
          if (this.#entries.get(hashPart) === entry) this.#entries.delete(hashPart);
        }
      },
    };
  }

  async close(): Promise<void> {
    const starting = this.#server;
    this.#server = undefined;
    this.#entries.clear();
    if (starting === undefined) return;
    const server = await starting;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }

  async #listen(): Promise<Server> {
    const server = createServer((request, response) => void this.#answer(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return text(response, 405, 'GET and HEAD only\n');
    if (path === '/nix-cache-info') {
      return text(response, 200, `StoreDir: ${STORE_DIR}\nWantMassQuery: 1\nPriority: 30\n`);
    }
    const [, narInfo, nar] = /^\/(?:([0-9a-z]{32})\.narinfo|nar\/([0-9a-z]{32})\.nar)$/.exec(path) ?? [];
    const entry = this.#entries.get(narInfo ?? nar ?? '');
    if (entry === undefined) return text(response, 404, 'not offered here\n');
    const { info } = entry.item;
    if (narInfo !== undefined) {
      const body = printNarInfo({ ...info, url: `nar/${narInfo}.nar`, compression: 'none' });
      return text(response, 200, body, 'text/x-nix-narinfo');
    }
    response.writeHead(200, { 'content-type': 'application/x-nix-nar', 'content-length': info.narSize });
    if (request.method === 'HEAD') response.end();
    else await this.#streamNar(entry, response);
  }

  async #streamNar(entry: Entry, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    while (this.#streaming >= GATEWAY_NARS_AT_ONCE) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#streaming += 1;
    try {
      const signal = AbortSignal.any([entry.signal, gone.signal]);
      await pipeline(this.#openVerified(entry.item, signal), response);
      entry.onPath(entry.item);
    } catch (error) {
      // The client sees a body shorter than announced; why is for the import that made the offer.
      if (!gone.signal.aborted) entry.onFault(error);
      response.destroy();
    } finally {
      this.#streaming -= 1;
      this.#waiting.shift()?.();
    }
  }
}

function text(response: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
