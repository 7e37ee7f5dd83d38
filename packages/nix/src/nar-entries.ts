/** What an entry is. */
export const NODE = { directory: 0, regular: 1, executable: 2, symlink: 3 } as const;
export type NodeKind = (typeof NODE)[keyof typeof NODE];

export interface NewEntry {
  /** In the NAR; empty for the root. */
  readonly name: Uint8Array;
  /** In the file system, where that differs. */
  readonly diskName: Uint8Array | undefined;
  /** Index of the directory it is in; -1 for the root. */
  readonly parent: number;
  /** Directories above it. */
  readonly depth: number;
  readonly kind: NodeKind;
  /** Of a file's contents. */
  readonly bytes: number;
  /** Of a symbolic link. */
  readonly target?: Uint8Array;
}

const FIRST_ENTRIES = 64;
const FIRST_TEXT_BYTES = 2_048;

/*
 * The NAR's fixed parts. Every entry begins with its header and ends with its trailer: what closes it, and the directories above it
 * whose last entry it is.
 */
const MAGIC = token('nix-archive-1');
const ENTRY_BEFORE_NAME = tokens('entry', '(', 'name');
const ENTRY_AFTER_NAME = token('node');
const NODE_HEADER: Record<NodeKind, Buffer> = {
  [NODE.directory]: tokens('(', 'type', 'directory'),
  [NODE.regular]: tokens('(', 'type', 'regular', 'contents'),
  [NODE.executable]: tokens('(', 'type', 'regular', 'executable', '', 'contents'),
  [NODE.symlink]: tokens('(', 'type', 'symlink', 'target'),
};
const CLOSE = token(')');

/** The entries of one NAR in its order, as columns of numbers and one run of text. */
export class NarEntries {
  #count = 0;
  /** Where each entry begins in the NAR; one more than there are entries. */
  #starts = new Float64Array(FIRST_ENTRIES);
  #bytes = new Float64Array(FIRST_ENTRIES);
  #parents = new Int32Array(FIRST_ENTRIES);
  /** Where each entry's name begins in the text; its target and disk name follow. */
  #texts = new Float64Array(FIRST_ENTRIES);
  #nameBytes = new Uint16Array(FIRST_ENTRIES);
  #targetBytes = new Uint16Array(FIRST_ENTRIES);
  #diskNameBytes = new Uint16Array(FIRST_ENTRIES);
  #kinds = new Uint8Array(FIRST_ENTRIES);
  #depths = new Uint8Array(FIRST_ENTRIES);
  #text: Buffer = Buffer.alloc(FIRST_TEXT_BYTES);
  #textBytes = 0;

  get narBytes(): number {
    return this.#starts[this.#count]!;
  }

  get heldBytes(): number {
    return this.#columns().reduce((sum, { byteLength }) => sum + byteLength, this.#text.length);
  }

  /** @returns its index */
  add(entry: NewEntry): number {
    const index = this.#count;
    // The last two starts are of the entry after this one, once there is one, and of the NAR's end.
    if (index + 2 > this.#kinds.length) this.#resize(this.#kinds.length * 2);
    this.#texts[index] = this.#textBytes;
    this.#append(entry.name);
    this.#append(entry.target ?? new Uint8Array(0));
    this.#append(entry.diskName ?? new Uint8Array(0));
    this.#nameBytes[index] = entry.name.length;
    this.#targetBytes[index] = entry.target?.length ?? 0;
    this.#diskNameBytes[index] = entry.diskName?.length ?? 0;
    this.#bytes[index] = entry.bytes;
    this.#parents[index] = entry.parent;
    this.#kinds[index] = entry.kind;
    this.#depths[index] = entry.depth;
    this.#count = index + 1;
    if (index > 0) this.#setEndOf(index - 1);
    return index;
  }

  /** Nothing more is added: memory is given back. */
  finish(): void {
    this.#setEndOf(this.#count - 1);
    this.#resize(this.#count + 1);
    this.#text = Buffer.from(this.#text.subarray(0, this.#textBytes));
  }

  startOf(index: number): number {
    return this.#starts[index]!;
  }

  /** The entry that has the NAR's byte at this offset. */
  at(offset: number): number {
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Bytes of contents; 0 where it is no file. */
  fileBytesOf(index: number): number {
    return this.#bytes[index]!;
  }

  /** What stands before the contents. */
  headerOf(index: number): Buffer {
    const kind = this.#kinds[index] as NodeKind;
    const parts = index === 0 ? [MAGIC] : [ENTRY_BEFORE_NAME, token(this.#nameOf(index)), ENTRY_AFTER_NAME];
    parts.push(NODE_HEADER[kind]);
    if (kind === NODE.symlink) parts.push(token(this.#targetOf(index)));
    if (isFile(kind)) {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(this.fileBytesOf(index)));
      parts.push(length);
    }
    return Buffer.concat(parts);
  }

  /** What stands after the contents: padding, and everything that ends here. */
  trailerOf(index: number): Buffer {
    const padding = Buffer.alloc(paddingOf(this.fileBytesOf(index)));
    return Buffer.concat([padding, ...Array<Buffer>(this.#closesOf(index)).fill(CLOSE)]);
  }

  /** Names in the file system from below the root down to this entry. */
  fileNamesOf(index: number): Buffer[] {
    const names: Buffer[] = [];
    for (let at = index; at > 0; at = this.#parents[at]!) names.unshift(this.#diskNameOf(at));
    return names;
  }

  #nameOf(index: number): Buffer {
    const from = this.#texts[index]!;
    return this.#text.subarray(from, from + this.#nameBytes[index]!);
  }

  #targetOf(index: number): Buffer {
    const from = this.#texts[index]! + this.#nameBytes[index]!;
    return this.#text.subarray(from, from + this.#targetBytes[index]!);
  }

  #diskNameOf(index: number): Buffer {
    const bytes = this.#diskNameBytes[index]!;
    if (bytes === 0) return this.#nameOf(index);
    const from = this.#texts[index]! + this.#nameBytes[index]! + this.#targetBytes[index]!;
    return this.#text.subarray(from, from + bytes);
  }

  /** Closing brackets after an entry: one for each node and one for each directory entry that ends here. */
  #closesOf(index: number): number {
    const depth = this.#depths[index]!;
    const last = index === this.#count - 1;
    // Depth first: the next entry is in this directory, or ends as many as lie between.
    const nodes = last ? depth + 1 : depth + 1 - this.#depths[index + 1]!;
    return last ? 2 * nodes - 1 : 2 * nodes;
  }

  #setEndOf(index: number): void {
    const kind = this.#kinds[index] as NodeKind;
    const bytes = this.fileBytesOf(index);
    const name =
      index === 0
        ? MAGIC.length
        : ENTRY_BEFORE_NAME.length + tokenBytes(this.#nameBytes[index]!) + ENTRY_AFTER_NAME.length;
    const target = kind === NODE.symlink ? tokenBytes(this.#targetBytes[index]!) : 0;
    const contents = isFile(kind) ? 8 + bytes + paddingOf(bytes) : 0;
    const closes = this.#closesOf(index) * CLOSE.length;
    this.#starts[index + 1] =
      this.#starts[index]! + name + NODE_HEADER[kind].length + target + contents + closes;
  }

  #append(text: Uint8Array): void {
    if (this.#textBytes + text.length > this.#text.length) {
      const larger = Buffer.alloc(2 * this.#text.length + text.length);
      larger.set(this.#text);
      this.#text = larger;
    }
    this.#text.set(text, this.#textBytes);
    this.#textBytes += text.length;
  }

  #columns() {
    return [
      this.#starts,
      this.#bytes,
      this.#parents,
      this.#texts,
      this.#nameBytes,
      this.#targetBytes,
      this.#diskNameBytes,
      this.#kinds,
      this.#depths,
    ] as const;
  }

  #resize(length: number): void {
    this.#starts = resized(this.#starts, new Float64Array(length));
    this.#bytes = resized(this.#bytes, new Float64Array(length));
    this.#parents = resized(this.#parents, new Int32Array(length));
    this.#texts = resized(this.#texts, new Float64Array(length));
    this.#nameBytes = resized(this.#nameBytes, new Uint16Array(length));
    this.#targetBytes = resized(this.#targetBytes, new Uint16Array(length));
    this.#diskNameBytes = resized(this.#diskNameBytes, new Uint16Array(length));
    this.#kinds = resized(this.#kinds, new Uint8Array(length));
    this.#depths = resized(this.#depths, new Uint8Array(length));
  }
}

function resized<Column extends Float64Array | Int32Array | Uint16Array | Uint8Array>(
  old: Column,
  fresh: Column,
): Column {
  fresh.set(old.subarray(0, fresh.length));
  return fresh;
}

function isFile(kind: NodeKind): boolean {
  return kind === NODE.regular || kind === NODE.executable;
}

function paddingOf(bytes: number): number {
  return (8 - (bytes % 8)) % 8;
}

function tokenBytes(textBytes: number): number {
  return 8 + textBytes + paddingOf(textBytes);
}

/** A string as a NAR has it: its length, its bytes and zeros up to a multiple of 8. */
function token(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text as string);
  const encoded = Buffer.alloc(tokenBytes(bytes.length));
  encoded.writeUInt32LE(bytes.length);
  encoded.set(bytes, 8);
  return encoded;
}

function tokens(...texts: string[]): Buffer {
  return Buffer.concat(texts.map(token));
}
