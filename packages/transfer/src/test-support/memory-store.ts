import { createHash } from 'node:crypto';
import { encodeBase32, type PathDescription, parseStorePath } from '@mesh/nix';
import { StreamedNarReader } from '../side-channel/daemon-nars.ts';
import { joined } from '../side-channel/joined-reader.ts';
import type { NarReader, NarShelf } from '../side-channel/ranges.ts';
import type { StoreReader } from '../store-reader.ts';

/** A store in memory, with a store's rule: a path is valid only when all it refers to is. */
export class MemoryStore implements StoreReader, NarShelf {
  readonly infos = new Map<string, PathDescription>();
  readonly nars = new Map<string, Uint8Array>();
  readonly readNars: string[] = [];

  /** Makes a path of one file with these contents; the same arguments give the same path everywhere. */
  add(name: string, references: readonly string[] = [], contents = name): string {
    const nar = narOf(contents);
    const path = storePathOf(name, references);
    this.register({ path, narHash: sha256(nar), narSize: nar.length, references, signatures: [] }, nar);
    return path;
  }

  register(info: PathDescription, nar: Uint8Array): void {
    for (const reference of info.references) {
      if (reference !== info.path && !this.infos.has(reference)) throw new Error(`${reference} is not valid`);
    }
    this.infos.set(info.path, info);
    this.nars.set(info.path, nar);
  }

  remove(path: string): void {
    this.infos.delete(path);
    this.nars.delete(path);
  }

  async validPaths(paths: readonly string[]): Promise<Set<string>> {
    return new Set(paths.filter((path) => this.infos.has(path)));
  }

  async pathInfos(paths: readonly string[]): Promise<Map<string, PathDescription>> {
    return new Map(paths.flatMap((path) => (this.infos.has(path) ? [[path, this.infos.get(path)!]] : [])));
  }

  async pathsFromHashParts(hashParts: readonly string[]): Promise<Map<string, string>> {
    const asked = new Set(hashParts);
    const held = [...this.infos.keys()].map((path): [string, string] => [
      parseStorePath(path).hashPart,
      path,
    ]);
    return new Map(held.filter(([hashPart]) => asked.has(hashPart)));
  }

  async open(path: string): Promise<NarReader | undefined> {
    const nar = this.nars.get(path);
    if (nar === undefined) return undefined;
    return new StreamedNarReader(path, nar.length, (wanted) => this.openNar(wanted));
  }

  openBatch(paths: readonly string[]): Promise<NarReader | undefined> {
    return joined(paths.map((path) => this.open(path)));
  }

  async *openNar(path: string): AsyncGenerator<Uint8Array> {
    const nar = this.nars.get(path);
    if (nar === undefined) throw new Error(`path '${path}' is not valid`);
    this.readNars.push(path);
    for (let offset = 0; offset < nar.length; offset += 65_536) yield nar.subarray(offset, offset + 65_536);
  }
}

/** A path as Nix would name it: the digits depend on name and references. */
export function storePathOf(name: string, references: readonly string[] = []): string {
  const digest = sha256(Buffer.from([name, ...references].join('\n')));
  return `/nix/store/${encodeBase32(digest.subarray(0, 20))}-${name}`;
}

/** The NAR of one regular file. */
export function narOf(contents: string | Uint8Array): Uint8Array {
  const words = ['nix-archive-1', '(', 'type', 'regular', 'contents', contents, ')'];
  return Buffer.concat(
    words.flatMap((word) => {
      const bytes = Buffer.from(word);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      return [length, bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)];
    }),
  );
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
