import { type Duplex, duplexPair } from 'node:stream';
import { wire } from '../../daemon/testing/wire-bytes.ts';
import type { ClientHandlers } from '../handlers.ts';
import type { PathInfoCache } from '../path-info-cache.ts';
import { type ServeDaemonClientInit, serveDaemonClient } from '../serve-daemon-client.ts';

/** Both ends of what is tested, without sockets: the client's and the daemon's side of it are the test's. */
export interface ServedPair {
  readonly client: Duplex;
  readonly daemon: Duplex;
  readonly served: Promise<void>;
}

export function servePair(
  handlers: ClientHandlers,
  pathInfos?: PathInfoCache,
  rest: Pick<ServeDaemonClientInit, 'refusal'> = {},
): ServedPair {
  const [client, inner] = duplexPair();
  const [daemon, outer] = duplexPair();
  const served = serveDaemonClient({
    ...{ client: inner, openDaemon: () => Promise.resolve(outer), handlers, ...rest },
    ...(pathInfos === undefined ? {} : { pathInfos }),
  });
  return { client, daemon, served };
}

/** A handshake of 1.38 without features, both halves. */
export const HELLO = wire(0x6e697863, 0x126, 0, 0, 0);
export const GREETING = wire(0x6478696f, 0x126, 0, '2.99.0', 1, 0x616c7473);

/** Reads so many bytes of a stream; fewer where it ends. */
export async function read(stream: Duplex, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let left = bytes; left > 0; ) {
    const part = stream.read(Math.min(left, Math.max(stream.readableLength, 1))) as Buffer | null;
    if (part !== null) {
      parts.push(part);
      left -= part.length;
    } else if (stream.readableEnded || stream.destroyed) break;
    else {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          stream.off('readable', done).off('end', done).off('close', done);
          resolve();
        };
        stream.on('readable', done).on('end', done).on('close', done);
      });
    }
  }
  return Buffer.concat(parts);
}
