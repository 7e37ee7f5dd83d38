import { SEND_BYTES } from './limits.ts';
import type { NarReader } from './ranges.ts';

/** Several NARs as one, right after each other. */
export class JoinedReader implements NarReader {
  readonly narBytes: number;
  readonly #readers: readonly NarReader[];
  readonly #closed = new Set<NarReader>();

  constructor(readers: readonly NarReader[]) {
    this.#readers = readers;
    this.narBytes = readers.reduce((sum, { narBytes }) => sum + narBytes, 0);
  }

  async *read(offset: number, bytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(Math.min(SEND_BYTES, bytes));
    const end = offset + bytes;
    let filled = 0;
    let start = 0;
    for (const reader of this.#readers) {
      const to = Math.min(end - start, reader.narBytes);
      for (let at = Math.max(0, offset - start); at < to; ) {
        const length = Math.min(to - at, buffer.length - filled);
        await fill(reader, at, buffer.subarray(filled, filled + length), signal);
        at += length;
        filled += length;
        if (filled === buffer.length) {
          signal.throwIfAborted();
          yield buffer;
          filled = 0;
        }
      }
      start += reader.narBytes;
      // Read to its end: a batch must not hold as many files open as it has paths.
      if (start <= end) this.#close(reader);
    }
    if (filled > 0) yield buffer.subarray(0, filled);
  }

  close(): void {
    for (const reader of this.#readers) this.#close(reader);
  }

  #close(reader: NarReader): void {
    if (this.#closed.has(reader)) return;
    this.#closed.add(reader);
    reader.close();
  }
}

/** The readers as one, undefined where one of them is missing: then none is left open. */
export async function joined(
  opening: readonly Promise<NarReader | undefined>[],
): Promise<JoinedReader | undefined> {
  const opened = await Promise.allSettled(opening);
  const readers = opened.flatMap((one) => (one.status === 'fulfilled' ? (one.value ?? []) : []));
  if (readers.length === opened.length) return new JoinedReader(readers);
  for (const reader of readers) reader.close();
  const failed = opened.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return undefined;
}

async function fill(reader: NarReader, offset: number, into: Uint8Array, signal: AbortSignal): Promise<void> {
  if (reader.fill !== undefined) {
    reader.fill(offset, into);
    return;
  }
  let at = 0;
  for await (const chunk of reader.read(offset, into.length, signal)) {
    into.set(chunk, at);
    at += chunk.length;
  }
}
