/** One end of a connection, and who has it: a new life of the same machine is another one. */
export interface Endpoint {
  readonly index: number;
  readonly id: string;
  alive: boolean;
}

interface Pending {
  readonly queue: string | undefined;
  readonly deliver: () => void;
}

export interface SimulatedNetworkInit {
  /** A number from [0, 1), the only source of chance. */
  readonly random: () => number;
  /** Messages sent in a named queue keep their order, as those in the queue `leases` always do; all others never do. */
  readonly orderedQueues: boolean;
  /** How likely each message is to come twice. */
  readonly duplicates: number;
}

/** Everything under way between and inside machines: picked in random order, lost with its connection. */
export class SimulatedNetwork {
  readonly #init: SimulatedNetworkInit;
  readonly #links = new Map<string, { up: boolean; epoch: number }>();
  readonly #pool: Pending[] = [];

  constructor(init: SimulatedNetworkInit) {
    this.#init = init;
  }

  get empty(): boolean {
    return this.#pool.length === 0;
  }

  connect(a: Endpoint, b: Endpoint): void {
    const key = linkKey(a, b);
    this.#links.set(key, { up: true, epoch: (this.#links.get(key)?.epoch ?? 0) + 1 });
  }

  /** What is under way on the connection is lost; false when there was none. */
  disconnect(a: Endpoint, b: Endpoint): boolean {
    const link = this.#links.get(linkKey(a, b));
    if (!link?.up) return false;
    link.up = false;
    link.epoch++;
    return true;
  }

  linked(a: Endpoint, b: Endpoint): boolean {
    return a.alive && b.alive && (a === b || this.#links.get(linkKey(a, b))?.up === true);
  }

  /** Something that happens inside a machine after a while. */
  later(deliver: () => void): void {
    this.#pool.push({ queue: undefined, deliver });
  }

  /** A message: lost when its connection ends first, perhaps delivered twice. */
  send(from: Endpoint, to: Endpoint, queue: string | undefined, deliver: () => void): void {
    if (!this.linked(from, to)) return;
    const key = linkKey(from, to);
    const epoch = this.#links.get(key)?.epoch;
    const arrive = () => {
      if (from.alive && to.alive && this.#links.get(key)?.epoch === epoch) deliver();
    };
    const keepsOrder = queue === 'leases' || (queue !== undefined && this.#init.orderedQueues);
    const ordered = keepsOrder ? `${from.id} ${to.id} ${queue}` : undefined;
    this.#pool.push({ queue: ordered, deliver: arrive });
    if (this.#init.random() < this.#init.duplicates) this.#pool.push({ queue: ordered, deliver: arrive });
  }

  deliverOne(): void {
    if (this.#pool.length === 0) return;
    let index = Math.floor(this.#init.random() * this.#pool.length);
    const { queue } = this.#pool[index]!;
    if (queue !== undefined) index = this.#pool.findIndex((pending) => pending.queue === queue);
    const [pending] = this.#pool.splice(index, 1);
    pending!.deliver();
  }
}

function linkKey(a: Endpoint, b: Endpoint): string {
  return a.index < b.index ? `${a.index} ${b.index}` : `${b.index} ${a.index}`;
}
