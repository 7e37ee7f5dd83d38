/** Lets so many go on at once; the others wait, first come, first served. */
export class Turns {
  readonly #atOnce: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Waits for a turn. @returns ends it */
  async take(): Promise<() => void> {
    if (this.#taken < this.#atOnce) this.#taken += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let over = false;
    return () => {
      if (over) return;
      over = true;
      const next = this.#waiting.shift();
      // The turn goes on to who waits longest.
      if (next === undefined) this.#taken -= 1;
      else next();
    };
  }
}
