import { textOfLatin1 } from './byte-text.ts';
import { NixError, quote } from './errors.ts';

/** Format limits, the same as Nix's own (`src/libutil/archive.cc`). */
const MAX_TAG_BYTES = 32;
const MAX_NAME_BYTES = 255;
const MAX_TARGET_BYTES = 4095;
export const MAX_NAR_DEPTH = 64;

const MAGIC = 'nix-archive-1';

/** Told about the entries of a NAR in its order. Paths are relative: '' is the root, then `bin/tool`. */
export interface NarHandler {
  directory?(path: string): void;
  regular?(path: string, sizeBytes: number, executable: boolean): void;
  /** Part of the contents of the file told last; the bytes are a view of the pushed chunk. */
  contents?(bytes: Uint8Array): void;
  symlink?(path: string, target: string): void;
}

type Expecting =
  | 'magic'
  | 'open'
  | 'type key'
  | 'type'
  | 'file attribute'
  | 'executable value'
  | 'contents key'
  | 'contents'
  | 'node end'
  | 'target key'
  | 'target'
  | 'entry'
  | 'entry open'
  | 'name key'
  | 'name'
  | 'node key'
  | 'entry end'
  | 'nothing';

/** Where only one token can stand: that token and what comes after it. */
const FIXED: Partial<Record<Expecting, readonly [token: string, next: Expecting]>> = {
  magic: [MAGIC, 'open'],
  open: ['(', 'type key'],
  'type key': ['type', 'type'],
  'executable value': ['', 'contents key'],
  'contents key': ['contents', 'contents'],
  'target key': ['target', 'target'],
  'entry open': ['(', 'name key'],
  'name key': ['name', 'name'],
  'node key': ['node', 'open'],
  'entry end': [')', 'entry'],
};

interface Directory {
  readonly path: string;
  /** The entry before, as latin1: names are sorted by byte. */
  lastName: string;
}

/**
 * A strict NAR reader fed with chunks. It accepts exactly what Nix writes: sorted unique names without `/`, `.` and
 * `..`, zero padding, nothing optional twice. Memory is bounded by one name or link target.
 * Source: Nix manual, "Nix Archive (NAR) format".
 */
export class NarParser {
  readonly #handler: NarHandler;
  readonly #directories: Directory[] = [];
  #expecting: Expecting = 'magic';
  #path = '';
  #executable = false;
  /** Bytes of contents, then of padding, still to come. */
  #contentsLeft = 0;
  #paddingLeft = 0;
  /** The start of a token cut by the end of a chunk. */
  #cut: Buffer | undefined;
  #bytes = 0;

  constructor(handler: NarHandler = {}) {
    this.#handler = handler;
  }

  /** The archive is complete. */
  get done(): boolean {
    return this.#expecting === 'nothing';
  }

  /** Bytes read so far; of the whole archive when done. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Reads the next bytes.
   * @returns how many belonged to the archive: fewer than given only when it ends within them
   * @throws NixError NIX_BAD_NAR
   */
  push(chunk: Uint8Array): number {
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const before = this.#cut?.length ?? 0;
    const data = before === 0 ? fresh : Buffer.concat([this.#cut!, fresh]);
    this.#cut = undefined;
    let at = 0;
    while (!this.done) {
      if (this.#contentsLeft > 0 || this.#paddingLeft > 0) {
        const used = this.#stream(data.subarray(at));
        if (used === 0) break;
        at += used;
        continue;
      }
      const used = this.#token(data, at);
      if (used === 0) {
        if (at < data.length) this.#cut = Buffer.from(data.subarray(at));
        break;
      }
      at += used;
    }
    if (this.#cut !== undefined) at = data.length;
    const consumed = at - before;
    this.#bytes += consumed;
    return consumed;
  }

  /** @throws NixError NIX_BAD_NAR where the archive is not complete */
  end(): void {
    if (!this.done) throw this.#bad('it ends too early');
  }

  #stream(data: Buffer): number {
    if (this.#contentsLeft > 0) {
      const part = data.subarray(0, this.#contentsLeft);
      if (part.length > 0) this.#handler.contents?.(part);
      this.#contentsLeft -= part.length;
      return part.length;
    }
    const padding = data.subarray(0, this.#paddingLeft);
    if (padding.some((byte) => byte !== 0)) throw this.#bad('padding that is not zero');
    this.#paddingLeft -= padding.length;
    return padding.length;
  }

  /** @returns bytes used; 0 when the token is not complete */
  #token(data: Buffer, at: number): number {
    if (data.length - at < 8) return 0;
    const length = data.readUInt32LE(at) + data.readUInt32LE(at + 4) * 0x1_0000_0000;
    if (this.#expecting === 'contents') {
      if (!Number.isSafeInteger(length)) throw this.#bad('a file of an impossible size');
      this.#contentsLeft = length;
      this.#paddingLeft = (8 - (length % 8)) % 8;
      this.#handler.regular?.(this.#path, length, this.#executable);
      this.#expecting = 'node end';
      return 8;
    }
    if (length > this.#maxBytes()) throw this.#bad(`a string of ${length} bytes as ${this.#expecting}`);
    const size = 8 + Math.ceil(length / 8) * 8;
    if (data.length - at < size) return 0;
    for (let pad = at + 8 + length; pad < at + size; pad++) {
      if (data[pad] !== 0) throw this.#bad('padding that is not zero');
    }
    this.#expecting = this.#take(data.toString('latin1', at + 8, at + 8 + length));
    return size;
  }

  #maxBytes(): number {
    if (this.#expecting === 'name') return MAX_NAME_BYTES;
    return this.#expecting === 'target' ? MAX_TARGET_BYTES : MAX_TAG_BYTES;
  }

  /** Uses one token and gives what is to come after it. */
  #take(token: string): Expecting {
    const fixed = FIXED[this.#expecting];
    if (fixed !== undefined) return this.#tag(token, ...fixed);
    switch (this.#expecting) {
      case 'type':
        return this.#type(token);
      case 'file attribute':
        this.#executable = token === 'executable';
        return this.#executable ? 'executable value' : this.#tag(token, 'contents', 'contents');
      case 'target':
        if (token === '' || token.includes('\0')) throw this.#bad('a symbolic link to an impossible target');
        this.#handler.symlink?.(this.#path, textOfLatin1(token));
        return 'node end';
      case 'node end':
        return this.#tag(token, ')', this.#afterNode());
      case 'entry':
        if (token !== ')') return this.#tag(token, 'entry', 'entry open');
        this.#directories.pop();
        return this.#afterNode();
      case 'name':
        return this.#name(token);
      default:
        throw new Error(`a NAR token in state ${this.#expecting}`);
    }
  }

  #tag(token: string, wanted: string, next: Expecting): Expecting {
    if (token !== wanted) throw this.#bad(`${quote(token)} where ${quote(wanted)} belongs`);
    return next;
  }

  #type(type: string): Expecting {
    if (this.#directories.length >= MAX_NAR_DEPTH) {
      throw this.#bad(`directories nested ${MAX_NAR_DEPTH} deep`);
    }
    switch (type) {
      case 'regular':
        return 'file attribute';
      case 'symlink':
        return 'target key';
      case 'directory':
        this.#handler.directory?.(this.#path);
        this.#directories.push({ path: this.#path, lastName: '' });
        return 'entry';
      default:
        throw this.#bad(`an entry of the unknown type ${quote(type)}`);
    }
  }

  #name(name: string): Expecting {
    if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
      throw this.#bad(`the file name ${quote(name)}`);
    }
    const directory = this.#directories.at(-1)!;
    if (name <= directory.lastName) throw this.#bad(`the file name ${quote(name)} out of order`);
    directory.lastName = name;
    const text = textOfLatin1(name);
    this.#path = directory.path === '' ? text : `${directory.path}/${text}`;
    return 'node key';
  }

  #afterNode(): Expecting {
    return this.#directories.length === 0 ? 'nothing' : 'entry end';
  }

  #bad(problem: string): NixError {
    const where = this.#path === '' ? '' : ` (at ${quote(this.#path)})`;
    return new NixError(
      'NIX_BAD_NAR',
      `The archive is not one Nix could have made: ${problem}${where}; fetch the path from elsewhere.`,
    );
  }
}
