import { mkdirSync, rmSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import type { Level } from './compression.ts';
import { MAX_KEPT_PACKED_BYTES, ZSTD_WINDOW_LOG } from './limits.ts';

const compress = promisify(zstdCompress);

/** What is kept of one NAR. */
interface Kept {
  /** Bytes of each block's file. */
  readonly blocks: Map<number, number>;
  bytes: number;
}

/**
 * Blocks of NARs, each compressed by itself, kept on disk for the next who asks: several machines fetch the same closure one after
 * another. What was kept by an agent before this one is thrown away.
 */
export class PackedBlocks {
  readonly #directory: string;
  readonly #maxBytes: number;
  /** By content, least recently used first. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;
  #usable: boolean | undefined;

  /** @param directory is this object's alone, and emptied */
  constructor(directory: string, maxBytes: number = MAX_KEPT_PACKED_BYTES) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
  }

  /** Bytes on disk. */
  get keptBytes(): number {
    return this.#bytes;
  }

  /** Whether a block is kept: then it costs next to nothing. */
  has(content: string | undefined, block: number): boolean {
    return content !== undefined && this.#kept.get(content)?.blocks.has(block) === true;
  }

  /**
   * A block as one zstd frame: the kept one, whatever its level, or a new one.
   * @param content names the NAR's contents (not its path: that may be built anew); undefined is not kept
   */
  async pack(content: string | undefined, block: number, raw: Uint8Array, level: Level): Promise<Uint8Array> {
    if (content !== undefined && this.has(content, block)) {
      const kept = await this.#read(content, block);
      if (kept !== undefined) return kept;
    }
    const packed = await compress(raw, {
      params: {
        [constants.ZSTD_c_compressionLevel]: level,
        [constants.ZSTD_c_windowLog]: ZSTD_WINDOW_LOG,
      },
    });
    if (content !== undefined && packed.length < raw.length) await this.#write(content, block, packed);
    return packed;
  }

  async #read(content: string, block: number): Promise<Uint8Array | undefined> {
    const kept = this.#kept.get(content)!;
    this.#kept.delete(content);
    this.#kept.set(content, kept);
    try {
      const bytes = await readFile(this.#file(content, block));
      // Somebody else wrote there: it is made anew.
      return bytes.length === kept.blocks.get(block) ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  async #write(content: string, block: number, packed: Uint8Array): Promise<void> {
    if (!this.#isUsable()) return;
    const kept = this.#kept.get(content) ?? { blocks: new Map(), bytes: 0 };
    this.#kept.set(content, kept);
    const before = kept.blocks.get(block) ?? 0;
    kept.blocks.set(block, packed.length);
    kept.bytes += packed.length - before;
    this.#bytes += packed.length - before;
    try {
      await writeFile(this.#file(content, block), packed, { mode: 0o600 });
    } catch {
      // A full disk is no reason not to send: nothing more is kept.
      this.#usable = false;
      await this.#drop(content);
    }
    for (const oldest of [...this.#kept.keys()]) {
      if (this.#bytes <= this.#maxBytes) break;
      await this.#drop(oldest);
    }
  }

  async #drop(content: string): Promise<void> {
    const kept = this.#kept.get(content);
    if (kept === undefined) return;
    this.#kept.delete(content);
    this.#bytes -= kept.bytes;
    for (const block of kept.blocks.keys()) await rm(this.#file(content, block), { force: true });
  }

  /** Makes the directory, empty, with the first block that is kept. */
  #isUsable(): boolean {
    if (this.#usable === undefined) {
      try {
        rmSync(this.#directory, { recursive: true, force: true });
        mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
        this.#usable = true;
      } catch {
        // Without a place nothing is kept; all is sent nevertheless.
        this.#usable = false;
      }
    }
    return this.#usable;
  }

  #file(content: string, block: number): string {
    return join(this.#directory, `${content}-${block}`);
  }
}
