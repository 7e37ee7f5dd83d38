import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { type NarLayout, type NarPart, NixError } from '@mesh/nix';
import { SEND_BYTES } from './limits.ts';
import type { NarReader } from './ranges.ts';

/** Ranges of a NAR straight from the store's files. Holds one file open at most. */
export class LayoutReader implements NarReader {
  readonly narBytes: number;
  readonly contentId?: string;
  readonly #path: string;
  readonly #layout: NarLayout;
  #file: { readonly path: Buffer; readonly descriptor: number } | undefined;

  /**
   * @param path the store path, for errors
   * @param narHash what the path was registered with, where that is known
   */
  constructor(path: string, layout: NarLayout, narHash?: Uint8Array) {
    this.#path = path;
    this.#layout = layout;
    this.narBytes = layout.narBytes;
    if (narHash !== undefined) this.contentId = Buffer.from(narHash).toString('hex');
  }

  /**
   * @throws NixError NIX_CORRUPT_PATH where a file is not as large as it was; whatever the file system throws, as an error with its
   *   `code`
   */
  async *read(offset: number, bytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(Math.min(SEND_BYTES, bytes));
    let filled = 0;
    for (const part of this.#layout.parts(offset, bytes)) {
      const partBytes = part.type === 'file' ? part.bytes : part.bytes.length;
      for (let done = 0; done < partBytes; ) {
        const taken = Math.min(partBytes - done, buffer.length - filled);
        this.#copy(part, done, buffer.subarray(filled, filled + taken));
        filled += taken;
        done += taken;
        if (filled === buffer.length) {
          signal.throwIfAborted();
          yield buffer;
          filled = 0;
        }
      }
    }
    if (filled > 0) yield buffer.subarray(0, filled);
  }

  /** See {@link read}. */
  fill(offset: number, into: Uint8Array): void {
    const buffer = Buffer.from(into.buffer, into.byteOffset, into.byteLength);
    let at = 0;
    for (const part of this.#layout.parts(offset, into.length)) {
      const bytes = part.type === 'file' ? part.bytes : part.bytes.length;
      this.#copy(part, 0, buffer.subarray(at, at + bytes));
      at += bytes;
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file.descriptor);
    this.#file = undefined;
  }

  #copy(part: NarPart, from: number, into: Buffer): void {
    if (part.type === 'bytes') {
      into.set(part.bytes.subarray(from, from + into.length));
      return;
    }
    const descriptor = this.#open(part.path, part.fileBytes);
    for (let at = 0; at < into.length; ) {
      const read = readSync(descriptor, into, at, into.length - at, part.offset + from + at);
      if (read === 0) throw this.#corrupt(part.path);
      at += read;
    }
  }

  #open(path: Buffer, fileBytes: number): number {
    if (this.#file?.path.equals(path) === true) return this.#file.descriptor;
    this.close();
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    this.#file = { path, descriptor };
    if (fstatSync(descriptor).size !== fileBytes) throw this.#corrupt(path);
    return descriptor;
  }

  #corrupt(file: Buffer): NixError {
    return new NixError(
      'NIX_CORRUPT_PATH',
      `${file.toString()} has changed; repair it with nix-store --repair-path ${this.#path}.`,
    );
  }
}
