/** Which slots of the home's own worker wait for work: a parked request each. Says when that changes. */
export class OwnSlots {
  readonly #self: string;
  readonly #onChange: (free: number) => void;
  readonly #waiting = new Set<string>();

  constructor(self: string, onChange: (free: number) => void) {
    this.#self = self;
    this.#onChange = onChange;
  }

  get free(): number {
    return this.#waiting.size;
  }

  /** A worker has a free slot; others than the home's own are of no interest here. */
  waits(peerId: string, request: string): void {
    if (peerId !== this.#self || this.#waiting.has(request)) return;
    this.#waiting.add(request);
    this.#onChange(this.free);
  }

  /** The request got its lease, or was taken back. */
  answered(peerId: string, request: string): void {
    if (peerId === this.#self && this.#waiting.delete(request)) this.#onChange(this.free);
  }
}
