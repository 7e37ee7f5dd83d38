import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { NixError } from '../errors.ts';
import { NarLayout } from '../nar-layout.ts';
import {
  MAX_OWN_NAR_FILES,
  MIN_OWN_NAR_BYTES,
  MIN_OWN_NAR_FILE_BYTES,
  NAR_PIECE_BYTES,
} from './constants.ts';

/** Takes bytes; resolves when they may be overwritten. */
export type Flush = (bytes: Uint8Array) => Promise<void>;

/**
 * Writes the NAR of a path from its files, where that pays: reading them here saves a copy through the daemon's socket.
 * @param root the path's file or folder as this process sees it
 * @returns false where nothing was written: the path is small, has many small files, or cannot be read
 * @throws NixError NIX_CORRUPT_PATH where a file changed meanwhile; whatever the file system or `flush` throws
 */
export async function writeStoreNar(root: string, flush: Flush): Promise<boolean> {
  const layout = await layoutWorthIt(root);
  if (layout === undefined) return false;
  const pieces = new Pieces(flush);
  let file: FileHandle | undefined;
  let openPath: Buffer | undefined;
  try {
    for (const part of layout.parts(0, layout.narBytes)) {
      if (part.type === 'bytes') {
        await pieces.add(part.bytes);
        continue;
      }
      if (openPath === undefined || !openPath.equals(part.path)) {
        await file?.close();
        file = await open(part.path, 'r');
        openPath = part.path;
      }
      await pieces.addFile(file!, part.offset, part.bytes);
    }
    await pieces.end();
    return true;
  } finally {
    await file?.close();
  }
}

async function layoutWorthIt(root: string): Promise<NarLayout | undefined> {
  const tooMany = new AbortController();
  let files = 0;
  const counted = (path: Buffer) => {
    files += 1;
    if (files > MAX_OWN_NAR_FILES) tooMany.abort();
    return lstatSync(path);
  };
  try {
    const layout = await NarLayout.of(root, {
      files: { lstatSync: counted, readdirSync, readlinkSync },
      pause: () => turnOfTheLoop(),
      signal: tooMany.signal,
    });
    const worthIt =
      files <= MAX_OWN_NAR_FILES &&
      layout.narBytes >= MIN_OWN_NAR_BYTES &&
      layout.narBytes / files >= MIN_OWN_NAR_FILE_BYTES;
    return worthIt ? layout : undefined;
  } catch {
    // The daemon can read it or says what is wrong.
    return undefined;
  }
}

/** Two buffers by turns: one is filled while the other goes out. */
class Pieces {
  readonly #flush: Flush;
  readonly #buffers = [Buffer.allocUnsafeSlow(NAR_PIECE_BYTES), Buffer.allocUnsafeSlow(NAR_PIECE_BYTES)];
  #flushed: Promise<void> = Promise.resolve();
  #turn = 0;
  #filled = 0;

  constructor(flush: Flush) {
    this.#flush = flush;
  }

  async add(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const buffer = await this.#room();
      const step = Math.min(bytes.length - at, buffer.length - this.#filled);
      buffer.set(bytes.subarray(at, at + step), this.#filled);
      this.#filled += step;
      at += step;
    }
  }

  async addFile(file: FileHandle, offset: number, bytes: number): Promise<void> {
    for (let at = 0; at < bytes; ) {
      const buffer = await this.#room();
      const step = Math.min(bytes - at, buffer.length - this.#filled);
      const { bytesRead } = await file.read(buffer, this.#filled, step, offset + at);
      if (bytesRead === 0) {
        throw new NixError(
          'NIX_CORRUPT_PATH',
          'A file of the store became shorter while it was read: verify the store (nix-store --verify --check-contents).',
        );
      }
      this.#filled += bytesRead;
      at += bytesRead;
    }
  }

  async end(): Promise<void> {
    await this.#send();
    await this.#flushed;
  }

  async #room(): Promise<Buffer> {
    if (this.#filled === NAR_PIECE_BYTES) await this.#send();
    return this.#buffers[this.#turn]!;
  }

  /** Sends what is filled when the buffer before it is out, which is filled next. */
  async #send(): Promise<void> {
    await this.#flushed;
    this.#flushed = this.#flush(this.#buffers[this.#turn]!.subarray(0, this.#filled));
    // Awaited before the next; a failure in between is not lost.
    this.#flushed.catch(() => undefined);
    this.#turn = 1 - this.#turn;
    this.#filled = 0;
  }
}
