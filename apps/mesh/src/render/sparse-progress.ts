import type { JobEvent } from '@mesh/wire';

/** A log tells of one fetch this often: a line for who waits, none for what is over soon. */
const INTERVAL_MS = 10_000;

/** Lets through what a log of lines tells of fetches that go on: each now and then, and the short ones never. */
export class SparseProgress {
  /** When each fetch was told of, or began; job's milliseconds. */
  readonly #toldMs = new Map<string, number>();

  isDue(event: JobEvent): boolean {
    const fetch = fetchOf(event);
    if (fetch === undefined) return true;
    const told = this.#toldMs.get(fetch.key);
    if (fetch.goesOn && told !== undefined && event.atMs - told < INTERVAL_MS) return false;
    if (fetch.isOver) this.#toldMs.delete(fetch.key);
    else this.#toldMs.set(fetch.key, event.atMs);
    return !fetch.goesOn || told !== undefined;
  }
}

/** Which fetch an event is about, and whether it says how far that is. */
function fetchOf(event: JobEvent): { key: string; goesOn: boolean; isOver: boolean } | undefined {
  switch (event.type) {
    case 'fetching':
    case 'fetch-progress':
    case 'started': {
      const key = `${event.peer}\u0000${event.drvPath}`;
      return { key, goesOn: event.type === 'fetch-progress', isOver: event.type === 'started' };
    }
    case 'result-fetch':
      return { key: '', goesOn: event.progress !== undefined, isOver: event.done };
    default:
      return undefined;
  }
}
