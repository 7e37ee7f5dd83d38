/**
 * Remembers at least the newest `limit` keys and at most twice as many. Two generations, because a Map that loses its
 * oldest entry at every addition is slow in V8 (each look at the first entry skips the holes).
 */
export class Recent<V> {
  readonly #limit: number;
  #current = new Map<string, V>();
  #previous = new Map<string, V>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): V | undefined {
    return this.#current.get(key) ?? this.#previous.get(key);
  }

  has(key: string): boolean {
    return this.#current.has(key) || this.#previous.has(key);
  }

  set(key: string, value: V): void {
    if (this.#current.size >= this.#limit && !this.#current.has(key)) {
      this.#previous = this.#current;
      this.#current = new Map();
    }
    this.#current.set(key, value);
  }

  delete(key: string): void {
    this.#current.delete(key);
    this.#previous.delete(key);
  }
}
