import type { PathInfo } from '@mesh/nix';
import type { MemberPath, MemberPaths } from '@mesh/transfer';
import { MAX_DISTANT_OUTPUTS } from './constants.ts';

/** What of {@link MemberPaths} is needed here. */
export type PathsOfMembers = Pick<MemberPaths, 'describe' | 'open'>;

/**
 * Outputs that are built for this machine's Nix and stay at members until Nix itself copies them. It may do so over another
 * connection than it had them built over, one for each path before Nix 2.34.
 */
export class DistantOutputs {
  readonly #members: PathsOfMembers;
  /** Oldest first. */
  readonly #paths = new Map<string, Promise<MemberPath | undefined>>();

  constructor(members: PathsOfMembers) {
    this.#members = members;
  }

  /** These members have the output. Whoever asks for it from now on gets it from them. */
  add(path: string, holders: readonly string[]): void {
    this.#paths.delete(path);
    this.#paths.set(path, this.#described(path, holders));
    for (const oldest of this.#paths.keys()) {
      if (this.#paths.size <= MAX_DISTANT_OUTPUTS) break;
      this.#paths.delete(oldest);
    }
  }

  /** The answer to QueryPathInfo; `pass` for what is not known here. */
  async queryPathInfo(path: string): Promise<'pass' | PathInfo> {
    const found = await this.#paths.get(path);
    // When it was registered, and that it was built there, are no matter of this store.
    return found === undefined ? 'pass' : { ...found.info, registrationTime: 0, ultimate: false };
  }

  /**
   * The answer to NarFromPath; `pass` for what is not known here.
   * @throws TransferError where the members that have it cannot give what they promised
   */
  async narFromPath(path: string, write: (chunk: Uint8Array) => Promise<void>): Promise<'pass' | 'written'> {
    const found = await this.#paths.get(path);
    if (found === undefined) return 'pass';
    const leaving = new AbortController();
    try {
      for await (const chunk of this.#members.open(found, leaving.signal)) {
        // The chunk's memory is used again for the next one.
        await write(Buffer.from(chunk));
      }
    } finally {
      leaving.abort();
    }
    return 'written';
  }

  async #described(path: string, holders: readonly string[]): Promise<MemberPath | undefined> {
    try {
      return await this.#members.describe(path, holders);
    } catch (error) {
      this.#paths.delete(path);
      throw error;
    }
  }
}
