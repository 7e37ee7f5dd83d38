import { fingerprintOf, type PathDescription, type SigningKey, signerOf } from '@mesh/nix';
import { referencesFirst } from './closure-order.ts';
import { MAX_CACHED_INFOS, MAX_CLOSURE_PATHS } from './constants.ts';
import { TransferError } from './errors.ts';
import type { StoreReader } from './store-reader.ts';

/**
 * Path infos of the own store, signed with the machine's key as they are told: whoever asks gets one signature of a
 * current member over each, and the signatures Nix already had. An info never changes while its path is valid, and
 * a valid path's closure is valid: so only the roots are looked up every time.
 */
export class SignedClosures {
  readonly #store: StoreReader;
  readonly #key: SigningKey;
  /** In order of last use. */
  readonly #cache = new Map<string, PathDescription>();

  constructor(store: StoreReader, key: SigningKey) {
    this.#store = store;
    this.#key = key;
  }

  /**
   * The closures of the valid ones among `roots`, references first, without `exclude` and what only they need.
   * @throws TransferError TRANSFER_BAD_PATH_INFO where the closure is over MAX_CLOSURE_PATHS
   */
  async of(
    roots: readonly string[],
    exclude: Iterable<string>,
    signal?: AbortSignal,
  ): Promise<PathDescription[]> {
    const seen = new Set(exclude);
    const infos = new Map<string, PathDescription>();
    const valid = await this.#store.validPaths(roots);
    for (const root of roots) if (!valid.has(root)) this.#cache.delete(root);
    let level = [...valid].filter((path) => !seen.has(path));
    while (level.length > 0) {
      signal?.throwIfAborted();
      for (const path of level) seen.add(path);
      for (const info of await this.#lookUp(level)) infos.set(info.path, info);
      if (infos.size > MAX_CLOSURE_PATHS) {
        throw new TransferError(
          'TRANSFER_BAD_PATH_INFO',
          `The closure asked for has more than ${MAX_CLOSURE_PATHS} paths; ask for parts of it.`,
        );
      }
      const next = level.flatMap((path) => infos.get(path)?.references ?? []);
      level = [...new Set(next)].filter((path) => !seen.has(path));
    }
    return referencesFirst(valid, infos);
  }

  /** The infos of these paths alone; those not valid are left out. */
  infosOf(paths: readonly string[]): Promise<PathDescription[]> {
    return this.#lookUp(paths);
  }

  async #lookUp(paths: readonly string[]): Promise<PathDescription[]> {
    const found: PathDescription[] = [];
    const unknown: string[] = [];
    for (const path of paths) {
      const cached = this.#cache.get(path);
      if (cached === undefined) unknown.push(path);
      else {
        this.#remember(cached);
        found.push(cached);
      }
    }
    if (unknown.length === 0) return found;
    // One collected since its root was found valid is left out: the asker will see that it is missing.
    const infos = [...(await this.#store.pathInfos(unknown)).values()];
    for (const signed of await Promise.all(infos.map((info) => withSignature(info, this.#key)))) {
      this.#remember(signed);
      found.push(signed);
    }
    return found;
  }

  #remember(info: PathDescription): void {
    this.#cache.delete(info.path);
    this.#cache.set(info.path, info);
    if (this.#cache.size > MAX_CACHED_INFOS) {
      for (const oldest of this.#cache.keys()) {
        this.#cache.delete(oldest);
        break;
      }
    }
  }
}

/** The description with our signature among its signatures, once, and without what only our own database knows. */
export async function withSignature(info: PathDescription, key: SigningKey): Promise<PathDescription> {
  // What this machine signed when it built it needs no other: one key makes one signature of one fingerprint.
  const kept = info.signatures.find((signature) => signerOf(signature) === key.name);
  const signature = kept ?? (await key.signBeside(fingerprintOf(info)));
  return {
    path: info.path,
    narHash: info.narHash,
    narSize: info.narSize,
    references: info.references,
    signatures: [signature, ...info.signatures.filter((other) => other !== signature).slice(0, 31)],
    ...(info.deriver === undefined ? {} : { deriver: info.deriver }),
    ...(info.ca === undefined ? {} : { ca: info.ca }),
  };
}
