import { createHash } from 'node:crypto';
import { NixError } from './errors.ts';
import { type NarHandler, NarParser } from './nar-parser.ts';

/** What a NAR must turn out to be. */
export interface NarExpectation {
  /** SHA-256, 32 bytes. */
  readonly narHash: Uint8Array;
  /** Bytes. */
  readonly narSize: number;
}

/** Reads a NAR strictly and hashes it, chunk by chunk. */
export class NarHasher {
  readonly #parser: NarParser;
  readonly #hash = createHash('sha256');

  constructor(handler: NarHandler = {}) {
    this.#parser = new NarParser(handler);
  }

  /** @throws NixError NIX_BAD_NAR, also for bytes after the end */
  push(chunk: Uint8Array): void {
    if (this.#parser.push(chunk) !== chunk.length) throw badNar('has bytes after its end');
    this.#hash.update(chunk);
  }

  /**
   * Call once, after the last chunk.
   * @throws NixError NIX_BAD_NAR where the archive is not complete
   */
  finish(): { narHash: Uint8Array; narSize: number } {
    this.#parser.end();
    return { narHash: this.#hash.digest(), narSize: this.#parser.bytes };
  }
}

/**
 * Passes a NAR's chunks through and checks them on the way. The last chunk is held back until size, hash and syntax
 * are known to be right: whoever receives the whole NAR has received a good one.
 * @throws NixError NIX_BAD_NAR
 */
export async function* verifyNar(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  expected: NarExpectation,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hasher = new NarHasher();
  yield* checked(chunks, expected.narSize, hasher, () => {
    const { narHash } = hasher.finish();
    if (Buffer.compare(narHash, expected.narHash) !== 0) throw badNar('has another hash than announced');
  });
}

/**
 * As {@link verifyNar}, but for the hash: for a receiver that compares it itself before it takes the NAR for good, as nix-daemon does.
 * @throws NixError NIX_BAD_NAR
 */
export async function* verifyNarSyntax(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  expected: Pick<NarExpectation, 'narSize'>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const parser = new NarParser();
  const push = (chunk: Uint8Array) => {
    if (parser.push(chunk) !== chunk.length) throw badNar('has bytes after its end');
  };
  yield* checked(chunks, expected.narSize, { push }, () => parser.end());
}

/** @param finish called before the last chunk is handed on */
async function* checked(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  narSize: number,
  reader: { push(chunk: Uint8Array): void },
  finish: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let size = 0;
  let held: Uint8Array | undefined;
  for await (const chunk of chunks) {
    if (chunk.length === 0) continue;
    size += chunk.length;
    if (size > narSize) throw badNar(`is larger than the ${narSize} bytes announced`);
    reader.push(chunk);
    // Only now: what is held may be the last chunk of something that is too long.
    if (held !== undefined) yield held;
    held = chunk;
  }
  finish();
  if (size !== narSize) throw badNar(`has ${size} bytes instead of the ${narSize} announced`);
  if (held !== undefined) yield held;
}

/** One thing in a NAR; contents follow their file, in pieces. Paths are relative, '' is the root. */
export type NarEvent =
  | { readonly type: 'directory'; readonly path: string }
  | { readonly type: 'regular'; readonly path: string; readonly size: number; readonly executable: boolean }
  | { readonly type: 'contents'; readonly bytes: Uint8Array }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string };

/**
 * Reads a NAR as a stream of entries; takes the next chunk only when the entries of the last are used.
 * @throws NixError NIX_BAD_NAR
 */
export async function* readNar(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<NarEvent, void, undefined> {
  let events: NarEvent[] = [];
  const hasher = new NarHasher({
    directory: (path) => events.push({ type: 'directory', path }),
    regular: (path, size, executable) => events.push({ type: 'regular', path, size, executable }),
    contents: (bytes) => events.push({ type: 'contents', bytes }),
    symlink: (path, target) => events.push({ type: 'symlink', path, target }),
  });
  for await (const chunk of chunks) {
    hasher.push(chunk);
    yield* events;
    events = [];
  }
  hasher.finish();
}

function badNar(problem: string): NixError {
  return new NixError(
    'NIX_BAD_NAR',
    `The archive ${problem}: it is not used, fetch the path from elsewhere.`,
  );
}
