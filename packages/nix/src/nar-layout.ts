import type { Stats } from 'node:fs';
import { NixError } from './errors.ts';
import { NarEntries, NODE } from './nar-entries.ts';
import { MAX_NAR_DEPTH } from './nar-parser.ts';

/** What a layout is made with: synchronous calls, names as bytes. `node:fs` has them. */
export interface LayoutFiles {
  lstatSync(path: Buffer): Pick<Stats, 'mode' | 'size' | 'isFile' | 'isDirectory' | 'isSymbolicLink'>;
  readdirSync(path: Buffer, encoding: 'buffer'): Buffer[];
  readlinkSync(path: Buffer, encoding: 'buffer'): Buffer;
}

export interface LayoutOptions {
  readonly files: LayoutFiles;
  /** Lets others run; called every few hundred files. */
  readonly pause: () => Promise<void>;
  /** Strips the suffix that Nix gives names which differ in case only, on file systems that do not tell them apart. */
  readonly caseHack?: boolean;
  readonly signal?: AbortSignal;
}

/** Files looked at between two pauses: a few milliseconds. */
const BATCH = 256;
/** Entries of one path; the largest in nixpkgs have some hundred thousand. */
const MAX_ENTRIES = 5_000_000;
const CASE_HACK = Buffer.from('~nix~case~hack~');
const SLASH = Buffer.from('/');
const OWNER_MAY_EXECUTE = 0o100;

/** A part of a NAR: bytes that are in no file, or part of a file. */
export type NarPart =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  /** `path` as the file system has it; `fileBytes` is what the whole file has to have. */
  | {
      readonly type: 'file';
      readonly path: Buffer;
      readonly offset: number;
      readonly bytes: number;
      readonly fileBytes: number;
    };

/**
 * Where everything in a store path's NAR comes from, without reading any file's contents: any range of the NAR can be put together
 * from it. Kept compactly: about 30 bytes and the name for each file.
 * Source of the format: Nix manual, "Nix Archive (NAR) format"; of the order and the case hack: NixOS/nix src/libutil/archive.cc.
 */
export class NarLayout {
  readonly #root: Buffer;
  readonly #entries: NarEntries;

  private constructor(root: Buffer, entries: NarEntries) {
    this.#root = root;
    this.#entries = entries;
  }

  /**
   * Looks at every file below a path (which may be a file itself).
   * @throws NixError NIX_BAD_NAR where something is there that no NAR can have; whatever the file system throws
   */
  static async of(root: string | Buffer, options: LayoutOptions): Promise<NarLayout> {
    const path = Buffer.from(root as string);
    const entries = new NarEntries();
    await new Walk(entries, options).walk(path);
    entries.finish();
    return new NarLayout(path, entries);
  }

  /** Bytes of the NAR. */
  get narBytes(): number {
    return this.#entries.narBytes;
  }

  /** Memory this layout takes. */
  get heldBytes(): number {
    return this.#entries.heldBytes + this.#root.length;
  }

  /**
   * The parts of a range, in order.
   * @throws RangeError where it is not within the NAR
   */
  *parts(offset: number, bytes: number): Generator<NarPart, void, undefined> {
    const end = offset + bytes;
    if (offset < 0 || bytes < 0 || end > this.narBytes) {
      throw new RangeError(`bytes ${offset} to ${end} of a NAR of ${this.narBytes}`);
    }
    const entries = this.#entries;
    for (let index = entries.at(offset), at = offset; at < end; index += 1) {
      const start = entries.startOf(index);
      for (const part of this.#piecesOf(index)) {
        const from = Math.max(offset, start + part.from);
        const to = Math.min(end, start + part.to);
        if (to <= from) continue;
        yield part.cut(from - start - part.from, to - start - part.from);
        at = to;
      }
    }
  }

  /** An entry's header, contents and what closes it, each with its place within the entry. */
  #piecesOf(index: number): { from: number; to: number; cut: (from: number, to: number) => NarPart }[] {
    const entries = this.#entries;
    const literal = (from: number, bytes: Uint8Array) => ({
      from,
      to: from + bytes.length,
      cut: (first: number, last: number): NarPart => ({ type: 'bytes', bytes: bytes.subarray(first, last) }),
    });
    const header = literal(0, entries.headerOf(index));
    const fileBytes = entries.fileBytesOf(index);
    const trailer = literal(header.to + fileBytes, entries.trailerOf(index));
    if (fileBytes === 0) return [header, trailer];
    const contents = {
      from: header.to,
      to: header.to + fileBytes,
      cut: (first: number, last: number): NarPart => ({
        type: 'file',
        path: this.#pathOf(index),
        offset: first,
        bytes: last - first,
        fileBytes,
      }),
    };
    return [header, contents, trailer];
  }

  #pathOf(index: number): Buffer {
    const names = this.#entries.fileNamesOf(index);
    return Buffer.concat([this.#root, ...names.flatMap((name) => [SLASH, name])]);
  }
}

/** Puts the files below a path into entries, in the order of a NAR. */
class Walk {
  readonly #entries: NarEntries;
  readonly #options: LayoutOptions;
  #looked = 0;

  constructor(entries: NarEntries, options: LayoutOptions) {
    this.#entries = entries;
    this.#options = options;
  }

  async walk(root: Buffer): Promise<void> {
    await this.#add(root, Buffer.alloc(0), undefined, -1, 0);
  }

  async #add(
    path: Buffer,
    name: Buffer,
    diskName: Buffer | undefined,
    parent: number,
    depth: number,
  ): Promise<void> {
    const { files, pause, signal } = this.#options;
    this.#looked += 1;
    if (this.#looked > MAX_ENTRIES) throw bad(path, `has more than ${MAX_ENTRIES} files`);
    if (this.#looked % BATCH === 0) await pause();
    signal?.throwIfAborted();
    if (depth >= MAX_NAR_DEPTH) throw bad(path, `has directories nested ${MAX_NAR_DEPTH} deep`);
    const stats = files.lstatSync(path);
    const common = { name, diskName, parent, depth };
    if (stats.isFile()) {
      const kind = (stats.mode & OWNER_MAY_EXECUTE) === 0 ? NODE.regular : NODE.executable;
      this.#entries.add({ ...common, kind, bytes: stats.size });
    } else if (stats.isSymbolicLink()) {
      const target = files.readlinkSync(path, 'buffer');
      this.#entries.add({ ...common, kind: NODE.symlink, bytes: 0, target });
    } else if (stats.isDirectory()) {
      const index = this.#entries.add({ ...common, kind: NODE.directory, bytes: 0 });
      for (const child of this.#children(path)) {
        await this.#add(
          Buffer.concat([path, SLASH, child.disk]),
          child.name,
          child.diskName,
          index,
          depth + 1,
        );
      }
    } else {
      throw bad(path, 'is neither file, directory nor symbolic link');
    }
  }

  /** Names in a directory, sorted by byte as they are in the NAR; `diskName` where the file system has another. */
  #children(path: Buffer): { name: Buffer; disk: Buffer; diskName: Buffer | undefined }[] {
    const { files, caseHack } = this.#options;
    const children = files.readdirSync(path, 'buffer').map((disk) => {
      const suffix = caseHack === true ? disk.lastIndexOf(CASE_HACK) : -1;
      const name = suffix === -1 ? disk : disk.subarray(0, suffix);
      return { name, disk, diskName: suffix === -1 ? undefined : disk };
    });
    children.sort((a, b) => Buffer.compare(a.name, b.name));
    const twice = children.find(({ name }, index) => index > 0 && name.equals(children[index - 1]!.name));
    if (twice !== undefined) throw bad(path, `has two files that are the same but for their case`);
    return children;
  }
}

function bad(path: Buffer, problem: string): NixError {
  return new NixError(
    'NIX_BAD_NAR',
    `${path.toString()} ${problem}: no archive can be made of it; repair the path with nix-store --repair-path.`,
  );
}
