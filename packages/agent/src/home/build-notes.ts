import type { Clock } from '@mesh/net';
import { derivationOptions } from '@mesh/nix';
import { DEFAULT_LINK_BYTES_PER_MS, type WorkerInfo } from '@mesh/schedule';
import type { WorkerMessage } from '@mesh/wire';
import type { DifferingOutput, History } from '../history/history.ts';
import type { PlannedDerivation } from '../job/planner.ts';
import { LinkRates } from './link-rates.ts';

type Result = Extract<WorkerMessage, { type: 'result' }>;

/** The part of {@link History} that a home writes to, and asks for speeds and predictions. */
export type HomeHistory = Pick<
  History,
  'noteDifference' | 'noteOutputs' | 'noteRace' | 'onRecorded' | 'predict' | 'record' | 'speedOf'
>;

/** A learned speed counts as another one beyond this: decisions do not hang on less. */
const SPEED_CHANGE = Math.log(1.05);
/** So does the rate of a link. */
const LINK_CHANGE = Math.log(1.2);
/** Speeds are compared this often while builds end. */
const REVIEW_INTERVAL_MS = 1_000;

/**
 * What a home writes down of the builds that end for it, and what it makes of workers by what was written down before: the speed a
 * worker claims is replaced by the one its builds have, and the rate of its link is what its fetches came to.
 */
export class BuildNotes {
  readonly #history: HomeHistory;
  readonly #clock: Clock;
  readonly #links = new LinkRates();
  /** Workers as they describe themselves, and as they were judged last. */
  readonly #workers = new Map<string, { said: WorkerInfo; judged: WorkerInfo }>();
  #reviewedAt = Number.NEGATIVE_INFINITY;

  constructor(history: HomeHistory, clock: Clock) {
    this.#history = history;
    this.#clock = clock;
  }

  /** The worker with its speed as its builds have it. */
  judge(said: WorkerInfo): WorkerInfo {
    const judged = this.#judge(said);
    this.#workers.set(said.peerId, { said, judged });
    return judged;
  }

  forget(peerId: string): void {
    this.#workers.delete(peerId);
  }

  /** Workers whose speed or link is not what it was when they were judged. Looks about once a second. */
  changed(): WorkerInfo[] {
    const now = this.#clock.monotonic();
    if (now - this.#reviewedAt < REVIEW_INTERVAL_MS) return [];
    this.#reviewedAt = now;
    return [...this.#workers.values()].flatMap(({ said, judged: before }) =>
      differs(before, this.#judge(said)) ? [this.judge(said)] : [],
    );
  }

  /** A lease ended with a result. Answers the outputs that an earlier build made differently. */
  result(
    planned: PlannedDerivation,
    peerId: string,
    grantedCores: number,
    message: Result,
  ): DifferingOutput[] {
    const { outcome, buildMs, fetched, fetchMs } = message;
    if (fetchMs !== undefined)
      this.#links.fetched(
        peerId,
        fetched.reduce((sum, { bytes }) => sum + bytes, 0),
        fetchMs,
      );
    const outOfMemory = outcome.type === 'machine-failure' && outcome.outOfMemory === true;
    // Fetched from a substituter, or given up by a machine: no build that tells anything.
    if (planned.method !== 'build' || (outcome.type === 'machine-failure' && !outOfMemory)) return [];
    const { name, system } = planned.node;
    const worker = this.#workers.get(peerId)?.judged;
    const emulation = worker?.emulated?.[system];
    this.#history.record({
      name,
      system,
      machine: peerId,
      at: this.#clock.now(),
      wallMs: buildMs,
      outcome: outOfMemory ? 'out-of-memory' : outcome.type === 'built' ? 'built' : 'failed',
      speed: (worker?.speed ?? 1) * (emulation ?? 1),
      emulated: emulation !== undefined,
      cores: message.cores ?? grantedCores,
      cpuMs: message.cpuMs,
      // What was not enough is the least it needs.
      memoryPeakBytes: message.memoryPeakBytes ?? (outOfMemory ? worker?.freeMemoryBytes : undefined),
      outputBytes:
        outcome.type === 'built'
          ? outcome.outputs.reduce((sum, { narBytes }) => sum + narBytes, 0)
          : undefined,
    });
    if (outcome.type !== 'built' || derivationOptions(planned.derivation).isFixedOutput) return [];
    const hashed = outcome.outputs.flatMap(({ path, narHash }) =>
      narHash === undefined ? [] : { path, narHash },
    );
    return this.#history.noteOutputs(name, hashed, peerId);
  }

  raceFinished(name: string, won: boolean): void {
    this.#history.noteRace(name, won);
  }

  outputsDiffer(name: string): void {
    this.#history.noteDifference(name);
  }

  #judge(said: WorkerInfo): WorkerInfo {
    const claimed = said.speed ?? 1;
    const speed = this.#history.speedOf(said.peerId, claimed);
    const emulated =
      said.emulated === undefined
        ? undefined
        : Object.fromEntries(
            Object.entries(said.emulated).map(([system, factor]) => [
              system,
              Math.min(1, this.#history.speedOf(said.peerId, claimed * factor, system) / speed),
            ]),
          );
    const linkBytesPerMs = this.#links.rateOf(said.peerId);
    return { ...said, speed, linkBytesPerMs, ...(emulated === undefined ? {} : { emulated }) };
  }
}

function differs(one: WorkerInfo, other: WorkerInfo): boolean {
  const apart = (a = 1, b = 1, enough = SPEED_CHANGE) => Math.abs(Math.log(a / b)) > enough;
  const links = [one, other].map(({ linkBytesPerMs = DEFAULT_LINK_BYTES_PER_MS }) => linkBytesPerMs);
  return (
    apart(one.speed, other.speed) ||
    apart(links[0], links[1], LINK_CHANGE) ||
    Object.entries(other.emulated ?? {}).some(([system, factor]) => apart(one.emulated?.[system], factor))
  );
}
