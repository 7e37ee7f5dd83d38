interface Entry {
  readonly at: number;
  readonly order: number;
  readonly happen: () => void;
}

/** Virtual time: a heap of what will happen, by time and, at the same time, in the order it was asked for. */
export class VirtualClock {
  readonly #heap: Entry[] = [];
  #now = 0;
  #order = 0;

  /** Milliseconds from the start. */
  get now(): number {
    return this.#now;
  }

  /** What is asked for in the past happens now. */
  at(time: number, happen: () => void): void {
    const heap = this.#heap;
    const entry = { at: Math.max(time, this.#now), order: this.#order++, happen };
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  after(delayMs: number, happen: () => void): void {
    this.at(this.#now + delayMs, happen);
  }

  /** Lets the next thing happen; false when nothing is left. */
  step(): boolean {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined) return false;
    const last = heap.pop()!;
    if (heap.length > 0) this.#sink(last);
    this.#now = Math.max(this.#now, first.at);
    first.happen();
    return true;
  }

  /** Time leaps, as after a suspend: what was due meanwhile happens late. */
  jump(byMs: number): void {
    this.#now += byMs;
  }

  #sink(entry: Entry): void {
    const heap = this.#heap;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, entry)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = entry;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
