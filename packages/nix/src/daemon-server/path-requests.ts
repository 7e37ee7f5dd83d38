import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { Operation } from '../daemon/constants.ts';
import { WireWriter } from '../daemon/wire-writer.ts';
import { basenameOf, isStorePath } from '../store-path.ts';
import type { AnswerStream } from './answer-stream.ts';
import { lastMessage, pathInfoAnswer } from './answers.ts';
import type { Outcome } from './build-requests.ts';
import { readPath } from './client-requests.ts';
import type { ClientHandlers } from './handlers.ts';
import { writeStoreNar } from './store-nar.ts';

/** Asks the handler about a whole QueryPathInfo. */
export async function askForPathInfo(request: Buffer, handlers: ClientHandlers): Promise<Outcome> {
  const info = (await handlers.queryPathInfo?.(readPath(request))) ?? 'pass';
  return info === 'pass' ? { type: 'pass' } : { type: 'answer', bytes: pathInfoAnswer(info) };
}

/** What NarFromPath is answered with. */
export interface NarSources {
  readonly client: Duplex;
  readonly handlers: ClientHandlers;
  readonly storeDirectory: string | undefined;
  /** Asks the real daemon. */
  isValid(path: string): Promise<boolean>;
}

/**
 * Answers a whole NarFromPath by the handler, or from the store's own files where the real daemon calls the path valid.
 * @throws whatever the sources throw; the client's connection is destroyed then where part of the NAR was sent
 */
export async function askForNar(request: Buffer, sources: NarSources): Promise<Outcome | 'written'> {
  const { client, handlers, storeDirectory } = sources;
  const path = readPath(request);
  let begun = false;
  /** @returns whether more may come at once */
  const send = (bytes: Uint8Array, flushed?: (error?: Error | null) => void): boolean => {
    if (!begun) client.write(lastMessage());
    begun = true;
    return client.write(bytes, flushed);
  };
  const write = async (bytes: Uint8Array): Promise<void> => {
    if (!send(bytes)) await drained(client);
  };
  const flush = (bytes: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      send(bytes, (error) => (error ? reject(error) : resolve()));
    });
  try {
    const answer = (await handlers.narFromPath?.(path, write)) ?? 'pass';
    if (answer === 'written' && !begun) send(new Uint8Array());
    if (begun) return 'written';
    if (storeDirectory === undefined || !isStorePath(path) || !(await sources.isValid(path))) {
      return { type: 'pass' };
    }
    const written = await writeStoreNar(join(storeDirectory, basenameOf(path)), flush);
    return written ? 'written' : { type: 'pass' };
  } catch (error) {
    // The client has part of a NAR, and no way to tell it that there is no more but the end of the connection.
    if (begun) client.destroy();
    throw error;
  }
}

/** Asks the real daemon over the client's own connection; the client does not see it. */
export function askWhetherValid(
  path: string,
  answers: AnswerStream,
  toDaemon: (bytes: Buffer) => void,
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  answers.expect({
    layout: ['number'],
    toClient: false,
    whole: (answer, ended) => resolve(ended === 'last' && answer.readUInt32LE(answer.length - 8) === 1),
  });
  toDaemon(new WireWriter().u64(Operation.IsValidPath).string(path).take());
  return promise;
}

/** Resolves when more may be written, or never will. */
function drained(stream: Duplex): Promise<void> {
  if (stream.destroyed) return Promise.reject(new Error('The client is gone.'));
  return new Promise((resolve, reject) => {
    const settle = (then: () => void) => (): void => {
      stream.off('drain', onDrain).off('close', onClose);
      then();
    };
    const onDrain = settle(resolve);
    const onClose = settle(() => reject(new Error('The client is gone.')));
    stream.on('drain', onDrain).on('close', onClose);
  });
}
