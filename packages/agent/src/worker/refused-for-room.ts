import { AgentError } from '../errors.ts';

/** Derivations remembered at most; beyond it the next is simply given back again. */
const MAX_REFUSED = 1_000;

/** Derivations given back for want of disk: coming again they count as failed here, or they would come for ever. */
export class RefusedForRoom {
  readonly #drvPaths = new Set<string>();

  /** How a lease is given back whose inputs could not be fetched: with `busy` the first time that there was no room. */
  reason(drvPath: string, error: unknown): 'busy' | 'machine' {
    const noRoom = error instanceof AgentError && error.code === 'WORK_NO_ROOM';
    const again = this.#drvPaths.has(drvPath);
    if (noRoom && this.#drvPaths.size < MAX_REFUSED) this.#drvPaths.add(drvPath);
    return noRoom && !again ? 'busy' : 'machine';
  }

  /** There was room for it. */
  forget(drvPath: string): void {
    this.#drvPaths.delete(drvPath);
  }
}
