/** Remembers the newest `limit` strings added to it; older ones are forgotten. */
export class BoundedSet {
  readonly #limit: number;
  readonly #values = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#values.size;
  }

  has(value: string): boolean {
    return this.#values.has(value);
  }

  add(value: string): void {
    this.#values.add(value);
    if (this.#values.size > this.#limit) {
      for (const oldest of this.#values) {
        this.#values.delete(oldest);
        break;
      }
    }
  }
}
