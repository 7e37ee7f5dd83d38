import { LAN_LATENCY_MS, LOCAL_LATENCY_MS, MESSAGE_MS } from './constants.ts';
import type { Machine } from './machine.ts';
import type { VirtualClock } from './virtual-clock.ts';

/**
 * Connections between all machines. Messages of one connection keep their order and are lost when either end dies.
 * Transfers queue at the sender's link and at the receiver's, first come, first served.
 */
export class Network {
  /** Bytes moved between machines. */
  bytes = 0;
  readonly #clock: VirtualClock;
  readonly #machines: readonly Machine[];
  /** Rises with each death; odd: dead. */
  readonly #lives: number[];
  readonly #arrived: Float64Array;
  readonly #upFreeAt: Float64Array;
  readonly #downFreeAt: Float64Array;

  constructor(clock: VirtualClock, machines: readonly Machine[]) {
    const count = machines.length;
    this.#clock = clock;
    this.#machines = machines;
    this.#lives = machines.map(() => 0);
    this.#arrived = new Float64Array(count * count);
    this.#upFreeAt = new Float64Array(count);
    this.#downFreeAt = new Float64Array(count);
  }

  alive(machine: number): boolean {
    return this.#lives[machine]! % 2 === 0;
  }

  /** Changes when the machine dies and when it comes back. */
  life(machine: number): number {
    return this.#lives[machine]!;
  }

  die(machine: number): void {
    if (this.alive(machine)) this.#lives[machine]!++;
  }

  revive(machine: number): void {
    if (!this.alive(machine)) this.#lives[machine]!++;
  }

  send(from: number, to: number, deliver: () => void): void {
    const latency = from === to ? LOCAL_LATENCY_MS : LAN_LATENCY_MS;
    const link = from * this.#machines.length + to;
    const at = Math.max(this.#clock.now + latency, this.#arrived[link]! + MESSAGE_MS);
    this.#arrived[link] = at;
    const [sender, receiver] = [this.life(from), this.life(to)];
    this.#clock.at(at, () => {
      if (this.life(from) === sender && this.life(to) === receiver && this.alive(to)) deliver();
    });
  }

  /** When a transfer that begins now has ended; the links are taken for it. */
  transfer(from: number, to: number, bytes: number): number {
    const { now } = this.#clock;
    this.bytes += bytes;
    const up = Math.max(now, this.#upFreeAt[from]!) + bytes / this.#machines[from]!.upBytesPerMs;
    const down = Math.max(now, this.#downFreeAt[to]!) + bytes / this.#machines[to]!.downBytesPerMs;
    this.#upFreeAt[from] = up;
    this.#downFreeAt[to] = down;
    return Math.max(up, down) + 2 * LAN_LATENCY_MS;
  }

  /** When everything already promised has left this machine. */
  upFreeAt(machine: number): number {
    return this.#upFreeAt[machine]!;
  }
}
