/** How many keys one question may hold, and how many questions may be under way. */
export interface CoalescingLimits {
  readonly keysPerQuestion: number;
  readonly questionsAtOnce: number;
}

/**
 * Makes few questions of many: keys asked for in the same turn of the event loop go together, and those that come while enough questions
 * are under way wait for the next one. A key that waits or is under way is not asked for twice.
 */
export class CoalescedQuestions<Answer> {
  readonly #ask: (keys: readonly string[]) => Promise<ReadonlyMap<string, Answer>>;
  readonly #limits: CoalescingLimits;
  readonly #answers = new Map<string, Promise<Answer | undefined>>();
  #waiting = new Map<string, PromiseWithResolvers<Answer | undefined>>();
  #underWay = 0;
  #scheduled = false;

  /** @param ask one question; keys without an answer are left out of the map */
  constructor(
    ask: (keys: readonly string[]) => Promise<ReadonlyMap<string, Answer>>,
    limits: CoalescingLimits,
  ) {
    this.#ask = ask;
    this.#limits = limits;
  }

  /** The answer for one key, undefined where there is none. Fails as the question that the key went with. */
  ask(key: string): Promise<Answer | undefined> {
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const answer = Promise.withResolvers<Answer | undefined>();
    this.#answers.set(key, answer.promise);
    this.#waiting.set(key, answer);
    this.#schedule();
    return answer.promise;
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.size === 0 || this.#underWay >= this.#limits.questionsAtOnce) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#send();
      this.#schedule();
    });
  }

  async #send(): Promise<void> {
    const batch = [...this.#waiting].slice(0, this.#limits.keysPerQuestion);
    for (const [key] of batch) this.#waiting.delete(key);
    this.#underWay += 1;
    try {
      const answers = await this.#ask(batch.map(([key]) => key));
      for (const [key, { resolve }] of batch) resolve(answers.get(key));
    } catch (error) {
      for (const [, { reject }] of batch) reject(error);
    } finally {
      for (const [key] of batch) this.#answers.delete(key);
      this.#underWay -= 1;
      this.#schedule();
    }
  }
}
