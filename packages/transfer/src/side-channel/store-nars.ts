import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { NarLayout, NixError } from '@mesh/nix';
import { ROOTED_NAR_BYTES } from '../roots/constants.ts';
import { type OpenNar, StreamedNarReader } from './daemon-nars.ts';
import { joined } from './joined-reader.ts';
import { LayoutReader } from './layout-reader.ts';
import { LAYOUT_IDLE_MS, MAX_LAYOUT_BYTES, MAX_LAYOUTS } from './limits.ts';
import type { NarReader, NarShelf } from './ranges.ts';

/** What a store knows of a valid path, as far as it matters here. */
export interface StoredPath {
  readonly narSize: number;
  readonly narHash: Uint8Array;
}

export interface StoreNarsComponents {
  /** Sees to it that a path is not collected while it is read. @returns whether it is valid, now that it cannot go */
  readonly root: (path: string) => Promise<boolean>;
  /** The valid ones of these. */
  readonly validPaths: (paths: readonly string[]) => Promise<ReadonlySet<string>>;
  /** What the store says of a valid path. */
  readonly pathInfo: (path: string) => Promise<StoredPath | undefined>;
  /** The way through the daemon, for a store whose files this process cannot read. */
  readonly openNar: OpenNar;
  /** Where a store path's files are; the path itself by default. */
  readonly fileOf?: (path: string) => string;
}

/** Errors that say that the files are not for this process, not that something is wrong with them. */
const NOT_READABLE = new Set(['EACCES', 'EPERM', 'ENOENT']);

/** The NARs of this machine's store, read from its files without any help of the daemon's. */
export class StoreNars implements NarShelf {
  readonly #components: StoreNarsComponents;
  /** Least recently used first. */
  readonly #layouts = new Map<string, NarLayout>();
  readonly #building = new Map<string, Promise<NarLayout>>();
  #heldBytes = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(components: StoreNarsComponents) {
    this.#components = components;
  }

  /**
   * @throws NixError NIX_CORRUPT_PATH where the path's files do not make up the NAR it was registered with; what the components throw
   */
  async open(path: string): Promise<NarReader | undefined> {
    const { root, pathInfo, openNar } = this.#components;
    const info = await pathInfo(path);
    if (info === undefined) return undefined;
    if (info.narSize >= ROOTED_NAR_BYTES && !(await root(path))) return undefined;
    try {
      const layout = await this.#layoutOf(path);
      if (layout.narBytes !== info.narSize) throw corrupt(path, info.narSize, layout.narBytes);
      this.#keep(path, layout);
      return new LayoutReader(path, layout, info.narHash);
    } catch (error) {
      if (!isNotReadable(error)) throw error;
      return new StreamedNarReader(path, info.narSize, openNar);
    }
  }

  /**
   * Small NARs, as their files are now: they are read before anything could collect them, so none is rooted, and who fetches them
   * compares their hashes.
   */
  async openBatch(paths: readonly string[]): Promise<NarReader | undefined> {
    const valid = await this.#components.validPaths(paths);
    if (!paths.every((path) => valid.has(path))) return undefined;
    return joined(paths.map((path) => this.#openAsIs(path)));
  }

  async #openAsIs(path: string): Promise<NarReader | undefined> {
    try {
      return new LayoutReader(path, await this.#newLayout(path));
    } catch (error) {
      if (!isNotReadable(error)) throw error;
      return this.open(path);
    }
  }

  /** Forgets what it knows of files. */
  close(): void {
    clearTimeout(this.#idle);
    this.#layouts.clear();
    this.#heldBytes = 0;
  }

  #layoutOf(path: string): Promise<NarLayout> {
    const kept = this.#layouts.get(path);
    if (kept !== undefined) return Promise.resolve(kept);
    let building = this.#building.get(path);
    if (building === undefined) {
      building = this.#newLayout(path).finally(() => this.#building.delete(path));
      this.#building.set(path, building);
    }
    return building;
  }

  #newLayout(path: string): Promise<NarLayout> {
    return NarLayout.of(this.#components.fileOf?.(path) ?? path, {
      files: { lstatSync, readdirSync, readlinkSync },
      pause: () => turnOfTheLoop(),
      caseHack: process.platform === 'darwin',
    });
  }

  #keep(path: string, layout: NarLayout): void {
    this.#drop(path);
    this.#layouts.set(path, layout);
    this.#heldBytes += layout.heldBytes;
    for (const oldest of this.#layouts.keys()) {
      if (this.#layouts.size <= MAX_LAYOUTS && this.#heldBytes <= MAX_LAYOUT_BYTES) break;
      this.#drop(oldest);
    }
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.close(), LAYOUT_IDLE_MS);
    this.#idle.unref();
  }

  #drop(path: string): void {
    this.#heldBytes -= this.#layouts.get(path)?.heldBytes ?? 0;
    this.#layouts.delete(path);
  }
}

function isNotReadable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && NOT_READABLE.has(String(error.code));
}

function corrupt(path: string, registered: number, found: number): NixError {
  return new NixError(
    'NIX_CORRUPT_PATH',
    `${path} makes up ${found} bytes where ${registered} are registered; repair it with nix-store --repair-path.`,
  );
}
