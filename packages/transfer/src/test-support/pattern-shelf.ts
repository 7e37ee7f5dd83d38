import { StreamedNarReader } from '../side-channel/daemon-nars.ts';
import { joined } from '../side-channel/joined-reader.ts';
import type { NarReader, NarShelf } from '../side-channel/ranges.ts';

const MIB = 1024 * 1024;
const STEP_BYTES = 65_536;

export const BIG = '/nix/store/00000000000000000000000000000000-big';
export const BIG_BYTES = 64 * MIB;
export const SMALL = '/nix/store/11111111111111111111111111111111-small';
export const SMALL_TEXT = 'the small one';

/** The byte of BIG at an offset. */
export function bigByte(offset: number): number {
  return Math.floor(offset / STEP_BYTES) % 251;
}

/** Serves `big` (a counted pattern) and `small`; counts what it was asked to read. */
export class PatternShelf implements NarShelf {
  readBytes = 0;
  opened = 0;
  closed = 0;
  /** BIG is not read before. */
  gate: Promise<void> = Promise.resolve();

  async open(path: string): Promise<NarReader | undefined> {
    if (path !== SMALL && path !== BIG) return undefined;
    this.opened += 1;
    if (path === SMALL) return this.#counted(new StreamedNarReader(path, SMALL_TEXT.length, small));
    return this.#counted({
      narBytes: BIG_BYTES,
      read: (offset, bytes, signal) => this.#big(offset, bytes, signal),
      close: () => undefined,
    });
  }

  openBatch(paths: readonly string[]): Promise<NarReader | undefined> {
    return joined(paths.map((path) => this.open(path)));
  }

  #counted(reader: NarReader): NarReader {
    return {
      narBytes: reader.narBytes,
      read: (offset, bytes, signal) => reader.read(offset, bytes, signal),
      close: () => {
        this.closed += 1;
        reader.close();
      },
    };
  }

  async *#big(offset: number, bytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    await this.gate;
    for (let at = offset; at < offset + bytes; ) {
      signal.throwIfAborted();
      const end = Math.min(offset + bytes, (Math.floor(at / STEP_BYTES) + 1) * STEP_BYTES);
      this.readBytes += end - at;
      yield Buffer.alloc(end - at, bigByte(at));
      at = end;
    }
  }
}

async function* small(): AsyncGenerator<Uint8Array> {
  yield Buffer.from(SMALL_TEXT);
}
