import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '@mesh/net';
import { encodeBase32, STORE_DIR } from '@mesh/nix';
import { isPeerFault, messageOf, type TransferError } from '../errors.ts';
import type { PeerLabel } from '../side-channel/nar-connection.ts';
import { type ByteRange, readRange } from './byte-range.ts';
import { type CacheRequest, readCacheRequest } from './cache-request.ts';
import {
  FORGET_ALL_MS,
  KEEP_ALIVE_MS,
  MAX_HEADER_BYTES,
  MAX_HTTP_CONNECTIONS,
  NARS_AT_ONCE,
  REQUEST_HEAD_TIMEOUT_MS,
  STALLED_CLIENT_MS,
} from './constants.ts';
import type { FoundPath } from './known-paths.ts';
import type { NarStreams } from './nar-streams.ts';
import type { PathFinder } from './path-finder.ts';
import { writeSlowly } from './slow-client.ts';
import { Turns } from './turns.ts';

export interface SubstituterInit {
  readonly port: number;
  /** As `nix-cache-info` says it; lower is asked earlier. */
  readonly priority: number;
}

export interface SubstituterComponents {
  readonly finder: PathFinder;
  readonly nars: NarStreams;
  readonly label: (peerId: string) => PeerLabel;
  /** Peer ids in the order they should be asked. */
  readonly bestFirst: (holders: readonly string[]) => readonly string[];
  /** Called when somebody was told that a path is not there; `gone` is the hash part of one they took to be there. */
  readonly onAbsent: (gone?: string) => void;
  readonly logger: Pick<Logger, 'debug' | 'info' | 'warn'>;
}

export interface SubstituterCounters {
  /** Descriptions answered from memory, after asking, and not at all. */
  known: number;
  found: number;
  absent: number;
  /** NARs sent whole or in part, and their bytes. */
  nars: number;
  bytes: number;
}

const TEXT = 'text/plain';

/**
 * This machine's binary cache, for any Nix on it: on loopback, at a port that does not change, answering for all members and for the own
 * store. Only what was verified is told of and sent. Whoever is on this machine may read it: it holds what the store itself shows.
 */
export class Substituter {
  readonly counters: SubstituterCounters = { known: 0, found: 0, absent: 0, nars: 0, bytes: 0 };
  readonly #init: SubstituterInit;
  readonly #components: SubstituterComponents;
  readonly #narTurns = new Turns(NARS_AT_ONCE);
  readonly #server: Server;
  #url: string | undefined;
  #forgetting: NodeJS.Timeout | undefined;

  constructor(init: SubstituterInit, components: SubstituterComponents) {
    this.#init = init;
    this.#components = components;
    this.#server = createServer(
      {
        maxHeaderSize: MAX_HEADER_BYTES,
        keepAliveTimeout: KEEP_ALIVE_MS,
        headersTimeout: REQUEST_HEAD_TIMEOUT_MS,
        requestTimeout: REQUEST_HEAD_TIMEOUT_MS,
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = MAX_HTTP_CONNECTIONS;
  }

  /** `http://127.0.0.1:PORT`, undefined while it does not listen. */
  get url(): string | undefined {
    return this.#url;
  }

  /** Begins to answer. Where the port cannot be had that is logged, and the agent goes on without. */
  async start(): Promise<void> {
    const { port } = this.#init;
    try {
      this.#server.listen(port, '127.0.0.1');
      await once(this.#server, 'listening');
    } catch (error) {
      this.#components.logger.warn(
        { port, reason: messageOf(error) },
        `the binary cache cannot listen on 127.0.0.1:${port} and stays off; set another port in config.json (cache.port)`,
      );
      return;
    }
    this.#url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    this.#components.logger.info({ url: this.#url }, 'the binary cache of this machine is up');
  }

  async stop(): Promise<void> {
    clearTimeout(this.#forgetting);
    if (this.#url === undefined) return;
    this.#url = undefined;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that breaks off is seen by 'close'.
    response.on('error', () => undefined);
    const { method, url, headers } = request;
    try {
      await this.#respond(readCacheRequest({ method, url, host: headers.host }), request, response);
    } catch (error) {
      if (response.destroyed) return;
      this.#components.logger.debug(
        { url, reason: messageOf(error) },
        'a request to the binary cache failed',
      );
      if (response.headersSent) response.destroy();
      else send(response, 500, TEXT, 'this machine cannot say at the moment; try again\n');
    }
  }

  async #respond(asked: CacheRequest, request: IncomingMessage, response: ServerResponse): Promise<void> {
    switch (asked.kind) {
      case 'refused':
        if (asked.status === 405) response.setHeader('allow', 'GET, HEAD');
        // What follows of such a request is not worth reading.
        response.setHeader('connection', 'close');
        return send(response, asked.status, TEXT, `${asked.reason}\n`);
      case 'cache-info':
        return send(
          response,
          200,
          'text/x-nix-cache-info',
          `StoreDir: ${STORE_DIR}\nWantMassQuery: 1\nPriority: ${this.#init.priority}\n`,
        );
      case 'unknown':
        return absent(response);
      case 'narinfo': {
        const found = await this.#find(asked.hashPart);
        if (found === undefined) {
          absent(response);
          return this.#components.onAbsent();
        }
        return send(response, 200, 'text/x-nix-narinfo', found.narInfo);
      }
      case 'nar': {
        const found = await this.#find(asked.hashPart);
        // The same path can have other contents at other members: this address is of one of them.
        if (found === undefined || encodeBase32(found.info.narHash) !== asked.narHash) {
          return this.#gone(asked.hashPart, response);
        }
        return this.#sendNar(asked.hashPart, found, request, response);
      }
    }
  }

  async #find(hashPart: string): Promise<FoundPath | undefined> {
    this.#forgetWhenIdle();
    const known = this.#components.finder.known(hashPart);
    if (known !== undefined) {
      this.counters.known += 1;
      return known;
    }
    const found = await this.#components.finder.find(hashPart);
    this.counters[found === undefined ? 'absent' : 'found'] += 1;
    return found;
  }

  async #sendNar(
    hashPart: string,
    found: FoundPath,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { narSize, narHash } = found.info;
    const etag = `"${encodeBase32(narHash)}"`;
    const { range: asked, 'if-range': condition } = request.headers;
    const range = condition === undefined || condition === etag ? readRange(asked, narSize) : 'whole';
    response.setHeader('accept-ranges', 'bytes');
    response.setHeader('etag', etag);
    if (range === 'unsatisfiable') {
      response.setHeader('content-range', `bytes */${narSize}`);
      return send(response, 416, TEXT, 'there are not so many bytes\n');
    }
    const part = range === 'whole' ? { first: 0, last: narSize - 1 } : range;
    if (range !== 'whole') response.setHeader('content-range', `bytes ${part.first}-${part.last}/${narSize}`);
    response.setHeader('content-type', 'application/x-nix-nar');
    response.setHeader('content-length', part.last - part.first + 1);
    response.statusCode = range === 'whole' ? 200 : 206;
    if (request.method === 'HEAD') response.end();
    else await this.#stream(hashPart, found, part, response);
  }

  async #stream(
    hashPart: string,
    found: FoundPath,
    part: ByteRange,
    response: ServerResponse,
  ): Promise<void> {
    const { finder, nars, logger } = this.#components;
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const endTurn = await this.#narTurns.take();
    try {
      if (gone.signal.aborted) return;
      const chunks = found.own
        ? nars.openNar(
            { from: 'store', path: found.info.path, offset: part.first, bytes: part.last - part.first + 1 },
            gone.signal,
          )
        : within(part, nars.openNar(this.#fromMembers(hashPart, found), gone.signal));
      this.counters.nars += 1;
      await writeSlowly(chunks, response, STALLED_CLIENT_MS, (bytes) => {
        this.counters.bytes += bytes;
      });
      response.end();
    } catch (error) {
      if (gone.signal.aborted) return;
      // What it was found by is out of date; the client, which sees a body shorter than announced, asks again.
      finder.forget(hashPart);
      if (isBad(error)) finder.blame(error, hashPart);
      logger.debug({ path: found.info.path, reason: messageOf(error) }, 'a NAR could not be sent whole');
      if (response.headersSent) response.destroy();
      else this.#gone(hashPart, response);
    } finally {
      gone.abort();
      endTurn();
    }
  }

  /** Nix asks for a NAR because it was told of the path, which may be weeks ago. */
  #gone(hashPart: string, response: ServerResponse): void {
    absent(response);
    this.#components.onAbsent(hashPart);
  }

  #fromMembers(hashPart: string, { info, holders }: FoundPath) {
    const { finder, bestFirst, label } = this.#components;
    const good = holders.filter((peerId) => !finder.isRuledOut(peerId, hashPart));
    return { from: 'members', info, holders: bestFirst(good).map(label) } as const;
  }

  #forgetWhenIdle(): void {
    if (this.#forgetting !== undefined) {
      this.#forgetting.refresh();
      return;
    }
    this.#forgetting = setTimeout(() => {
      this.#forgetting = undefined;
      this.#components.finder.forgetAll();
    }, FORGET_ALL_MS);
    this.#forgetting.unref();
  }
}

/** Whether a peer sent what it should not have, and not merely was lost. */
function isBad(error: unknown): error is TransferError & { peerId: string } {
  return (
    isPeerFault(error) && (error.code === 'TRANSFER_BAD_HASH' || error.code === 'TRANSFER_BAD_SIGNATURE')
  );
}

/** A part of what has to be read whole to be verified: its last bytes are held back until the whole is known to be right. */
async function* within(
  { first, last }: ByteRange,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0;
  let held: Uint8Array | undefined;
  for await (const chunk of chunks) {
    const part = chunk.subarray(Math.max(0, first - at), Math.max(0, last + 1 - at));
    at += chunk.length;
    if (part.length === 0) continue;
    if (held !== undefined) yield held;
    // The chunk itself is good no longer than until the next.
    held = Buffer.from(part);
  }
  if (held !== undefined) yield held;
}

/** Not there now: nobody may remember that. */
function absent(response: ServerResponse): void {
  for (const name of ['accept-ranges', 'etag', 'content-range', 'content-type', 'content-length'])
    response.removeHeader(name);
  response.setHeader('cache-control', 'no-store');
  send(response, 404, TEXT, 'nobody here has it at the moment\n');
}

function send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
