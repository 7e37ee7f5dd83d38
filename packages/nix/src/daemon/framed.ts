import type { Exchange } from './connection.ts';
import { FRAME_BYTES } from './constants.ts';
import type { Emit } from './messages.ts';
import { WireWriter } from './wire-writer.ts';

/** Chunks of bytes, at once or over time. */
export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Sends data in frames (length, bytes; a zero ends it) while listening to the daemon, up to its answer.
 * A failure on either side stops the other and leaves the connection unusable.
 */
export async function sendFramed(exchange: Exchange, chunks: Chunks, emit: Emit): Promise<void> {
  exchange.broken = true;
  const answered = exchange.messages(emit);
  const iterator = iteratorOf(chunks);
  let failed = false;
  const refused = answered.then(
    () => new Promise<never>(() => undefined),
    (error: unknown) => {
      failed = true;
      throw error;
    },
  );
  try {
    await Promise.race([sendFrames(exchange, iterator, () => failed), refused]);
    await answered;
  } catch (error) {
    // The source may be waiting for bytes that never come: it is told to stop, not waited for.
    Promise.resolve(iterator.return?.()).catch(() => undefined);
    throw error;
  }
  exchange.broken = false;
}

async function sendFrames(exchange: Exchange, chunks: ByteIterator, stop: () => boolean): Promise<void> {
  const small = new WireWriter(FRAME_BYTES);
  const flush = async (): Promise<void> => {
    if (small.length > 0) await exchange.send(header(small.length), small.take());
  };
  for (;;) {
    const next = await chunks.next();
    if (stop()) return;
    if (next.done === true) break;
    const chunk = next.value;
    if (chunk.length >= FRAME_BYTES / 2) {
      await flush();
      await exchange.send(header(chunk.length), chunk);
    } else {
      small.raw(chunk);
      if (small.length >= FRAME_BYTES) await flush();
    }
  }
  await flush();
  await exchange.send(header(0));
}

type ByteIterator = Iterator<Uint8Array> | AsyncIterator<Uint8Array>;

function iteratorOf(chunks: Chunks): ByteIterator {
  return Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
}

function header(bytes: number): Uint8Array {
  return new WireWriter(8).u64(bytes).take();
}
