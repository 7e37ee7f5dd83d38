import { pieceBytes, pieceCount } from '../side-channel/pieces.ts';
import type { HoldingBoard, NarHolding, NarReader, NarShelf } from '../side-channel/ranges.ts';
import { emptyPieceMap, hasPiece, type PieceMap, setPiece } from './piece-map.ts';

/** Where the bytes of a NAR that is still coming in are. */
export interface PieceFile {
  read(offset: number, bytes: number): Promise<Uint8Array>;
}

/** A NAR that is coming in, as others are told of it. */
export interface PartialNar {
  /** This piece can be read from the file from now on. */
  add(piece: number, file: PieceFile): void;
  /** Its pieces are not to be had here any more. */
  end(): void;
}

interface Entry {
  readonly narBytes: number;
  readonly map: PieceMap;
  file: PieceFile | undefined;
}

interface Watcher {
  readonly peerId: string;
  readonly tell: (holding: NarHolding) => void;
  /** Known once the store was asked. */
  complete: boolean | undefined;
}

export interface PartialNarsComponents {
  /** Whole NARs. */
  readonly shelf: NarShelf;
  readonly isValid: (path: string) => Promise<boolean>;
}

const NOTHING = new Uint8Array(0);

/** Serves the pieces of NARs that are still coming in, whole ones from the store, and tells those who fetch the same path of each other. */
export class PartialNars implements HoldingBoard, NarShelf {
  readonly #components: PartialNarsComponents;
  readonly #entries = new Map<string, Entry>();
  readonly #watchers = new Map<string, Set<Watcher>>();

  constructor(components: PartialNarsComponents) {
    this.#components = components;
  }

  /** A NAR begins to come in; undefined where one of this path does already. */
  begin(path: string, narBytes: number): PartialNar | undefined {
    if (this.#entries.has(path)) return undefined;
    const entry: Entry = { narBytes, map: emptyPieceMap(pieceCount(narBytes)), file: undefined };
    this.#entries.set(path, entry);
    return {
      add: (piece, file) => {
        if (this.#entries.get(path) !== entry) return;
        entry.file = file;
        setPiece(entry.map, piece);
        this.#tellAll(path);
      },
      end: () => {
        if (this.#entries.get(path) === entry) this.#entries.delete(path);
        this.#tellAll(path);
      },
    };
  }

  /** The path is valid here from now on: whoever watches it is told. */
  valid(path: string): void {
    for (const watcher of this.#watchers.get(path) ?? []) watcher.complete = true;
    this.#tellAll(path);
  }

  async open(path: string, signal: AbortSignal): Promise<NarReader | undefined> {
    const entry = this.#entries.get(path);
    if (entry?.file === undefined) return this.#components.shelf.open(path, signal);
    return new PartialReader(entry, entry.file);
  }

  async openBatch(paths: readonly string[], signal: AbortSignal): Promise<NarReader | undefined> {
    return this.#components.shelf.openBatch(paths, signal);
  }

  watch(peerId: string, path: string, tell: (holding: NarHolding) => void): () => void {
    const watcher: Watcher = { peerId, tell, complete: undefined };
    const watchers = this.#watchers.get(path) ?? new Set();
    this.#watchers.set(path, watchers.add(watcher));
    void this.#ask(path, watcher);
    for (const other of watchers) if (other !== watcher) this.#tell(path, other);
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(path) === watchers) this.#watchers.delete(path);
      // The others learn with the next news: one fetcher fewer changes nothing for them.
    };
  }

  async #ask(path: string, watcher: Watcher): Promise<void> {
    if (this.#entries.has(path)) {
      watcher.complete ??= false;
    } else {
      // A store that cannot be asked has nothing to give either.
      const isValid = await this.#components.isValid(path).catch(() => false);
      watcher.complete ??= isValid;
    }
    if (this.#watchers.get(path)?.has(watcher) === true) this.#tell(path, watcher);
  }

  #tellAll(path: string): void {
    for (const watcher of this.#watchers.get(path) ?? []) this.#tell(path, watcher);
  }

  #tell(path: string, watcher: Watcher): void {
    if (watcher.complete === undefined) return;
    const others = [...(this.#watchers.get(path) ?? [])].filter(({ peerId }) => peerId !== watcher.peerId);
    watcher.tell({
      complete: watcher.complete,
      pieces: watcher.complete ? NOTHING : (this.#entries.get(path)?.map.slice() ?? NOTHING),
      fetchers: [...new Set(others.map(({ peerId }) => peerId))],
    });
  }
}

/** Reads what is there of a NAR that is coming in. */
class PartialReader implements NarReader {
  readonly #entry: Entry;
  readonly #file: PieceFile;

  constructor(entry: Entry, file: PieceFile) {
    this.#entry = entry;
    this.#file = file;
  }

  get narBytes(): number {
    return this.#entry.narBytes;
  }

  async *read(offset: number, bytes: number): AsyncGenerator<Uint8Array> {
    const size = pieceBytes(this.#entry.narBytes);
    for (let at = offset; at < offset + bytes; ) {
      const piece = Math.floor(at / size);
      if (!hasPiece(this.#entry.map, piece)) throw new Error('this part has not come in yet');
      const end = Math.min((piece + 1) * size, offset + bytes);
      yield await this.#file.read(at, end - at);
      at = end;
    }
  }

  close(): void {
    // The file belongs to the fetch.
  }
}
