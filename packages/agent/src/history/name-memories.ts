import { type BuildHistory, dropOldest } from '@mesh/schedule';
import { DIFFERENCE_FORGOTTEN_MS, MAX_NAMES, RACES_FORGOTTEN_MS, RACES_LOST } from './constants.ts';
import type { NameMemory } from './database.ts';

const NOTHING: NameMemory = { racesLost: 0, lostAt: 0, differedAt: 0 };

/** What speaks against racing a name: races that never won, and builds of it that differed. Times: wall-clock milliseconds. */
export class NameMemories {
  readonly #names = new Map<string, NameMemory>();

  load(names: Iterable<readonly [string, NameMemory]>): void {
    for (const [name, memory] of names) this.#names.set(name, memory);
  }

  /** A race for this name is over; answers what to keep of it. */
  raced(name: string, won: boolean, now: number): NameMemory {
    const before = this.#of(name);
    const counted = now - before.lostAt > RACES_FORGOTTEN_MS ? 0 : before.racesLost;
    return this.#set(name, { ...before, racesLost: won ? 0 : counted + 1, lostAt: won ? 0 : now });
  }

  /** Two builds of this name gave different bytes; answers what to keep of it. */
  differed(name: string, now: number): NameMemory {
    return this.#set(name, { ...this.#of(name), differedAt: now });
  }

  neverRace(name: string, now: number): BuildHistory['neverRace'] {
    const memory = this.#names.get(name);
    if (memory === undefined) return undefined;
    if (memory.differedAt > 0 && now - memory.differedAt <= DIFFERENCE_FORGOTTEN_MS)
      return 'non-deterministic';
    return memory.racesLost >= RACES_LOST && now - memory.lostAt <= RACES_FORGOTTEN_MS
      ? 'never-wins'
      : undefined;
  }

  #of(name: string): NameMemory {
    return this.#names.get(name) ?? NOTHING;
  }

  #set(name: string, memory: NameMemory): NameMemory {
    this.#names.delete(name);
    this.#names.set(name, memory);
    if (this.#names.size > MAX_NAMES) dropOldest(this.#names, MAX_NAMES / 10);
    return memory;
  }
}
