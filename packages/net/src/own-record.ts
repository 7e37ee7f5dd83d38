import type { NodeRecord } from '@mesh/wire';
import type { Clock, Timer } from './clock.ts';
import { RECORD_MAX_INTERVAL_MS, RECORD_MIN_INTERVAL_MS } from './constants.ts';
import type { OwnRecord } from './mesh-net.ts';

/** What the publisher needs. */
export interface RecordPublisherComponents {
  clock: Clock;
  /** The fields the network fills in. */
  describe: () => Pick<NodeRecord, 'peerId' | 'name' | 'addresses'>;
  send: (record: NodeRecord) => void;
}

/** Gossips this agent's own record: at once when it changed, but not more than twice a second, and every five seconds anyway. */
export class RecordPublisher {
  readonly #components: RecordPublisherComponents;
  #fields: OwnRecord | undefined;
  #sent = '';
  #sentAt = Number.NEGATIVE_INFINITY;
  #sequence = 0;
  #timer: Timer | undefined;
  #stopped = true;

  constructor(components: RecordPublisherComponents) {
    this.#components = components;
  }

  start(): void {
    this.#stopped = false;
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  publish(fields: OwnRecord): void {
    this.#fields = fields;
    this.#schedule();
  }

  /** The network's part of the record changed: name or addresses. */
  refresh(): void {
    this.#sent = '';
    this.#schedule();
  }

  /** A record of ours with a higher number than we know is about: from before a clock was set back. Ours must be newer. */
  outrun(sequence: number): void {
    if (sequence <= this.#sequence) return;
    this.#sequence = sequence;
    this.refresh();
  }

  #schedule(): void {
    this.#timer?.cancel();
    if (this.#stopped || this.#fields === undefined) return;
    const { clock } = this.#components;
    const changed = JSON.stringify(this.#fields) !== this.#sent;
    const due = this.#sentAt + (changed ? RECORD_MIN_INTERVAL_MS : RECORD_MAX_INTERVAL_MS);
    const wait = due - clock.monotonic();
    if (wait <= 0) this.#send();
    else this.#timer = clock.after(wait, () => this.#send());
  }

  #send(): void {
    const fields = this.#fields;
    if (fields === undefined || this.#stopped) return;
    const { clock, describe, send } = this.#components;
    this.#sent = JSON.stringify(fields);
    this.#sentAt = clock.monotonic();
    this.#sequence = Math.max(clock.now(), this.#sequence + 1);
    send({ version: 1, sequence: this.#sequence, ...describe(), ...fields });
    this.#schedule();
  }
}
