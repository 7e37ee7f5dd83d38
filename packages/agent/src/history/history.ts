import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Clock, Logger, Timer } from '@mesh/net';
import {
  BuildPredictor,
  type BuildRecord,
  CLOCK_TOLERANCE_MS,
  type DerivationShape,
  isPlausible,
  MachineSpeeds,
  type Prediction,
} from '@mesh/schedule';
import type { HistoryMark, HistoryRow } from '@mesh/wire';
import { FLUSH_DELAY_MS, FLUSH_ROWS, REMOVED_ORIGIN_WEIGHT } from './constants.ts';
import type { HistoryDatabase, KnownOutput } from './database.ts';
import { openHistoryFile } from './history-file.ts';
import { NameMemories } from './name-memories.ts';

export interface HistoryInit {
  readonly stateDir: string;
  readonly self: string;
}

export interface HistoryComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  isMember(peerId: string): boolean;
}

/** An output that two builds of one derivation made differently; `first` is what was remembered. */
export interface DifferingOutput {
  readonly output: string;
  readonly first: { readonly peerId: string; readonly narHash: string };
  readonly second: { readonly peerId: string; readonly narHash: string };
}

/**
 * What builds took, here and at other members, in a file of the state directory and in memory. Asking is a matter of memory alone;
 * writing happens in batches, behind the builds. Without a file (a full or read-only disk) it remembers until the agent ends.
 */
export class History {
  readonly #init: HistoryInit;
  readonly #components: HistoryComponents;
  readonly #predictor: BuildPredictor;
  readonly #speeds = new MachineSpeeds();
  readonly #names = new NameMemories();
  readonly #marks = new Map<string, number>();
  readonly #onRecorded = new Set<() => void>();
  /** Not in the file yet. */
  #pending: HistoryRow[] = [];
  #flushTimer: Timer | undefined;
  #database: HistoryDatabase | undefined;
  #opening: Promise<void> | undefined;
  #opened = false;
  #closed = false;

  constructor(init: HistoryInit, components: HistoryComponents) {
    this.#init = init;
    this.#components = components;
    this.#predictor = new BuildPredictor((origin) => this.#weightOf(origin));
  }

  /** Reads the file, once; predictions before are cold. Never rejects. */
  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async close(): Promise<void> {
    await this.#opening;
    this.#flush();
    this.#closed = true;
    this.#flushTimer?.cancel();
    this.#database?.close();
    this.#database = undefined;
  }

  /** A build of this machine's own jobs ended. Absurd ones are ignored. */
  record(record: BuildRecord): void {
    const now = this.#components.clock.now();
    const { self } = this.#init;
    const last = this.#marks.get(self) ?? 0;
    // A last number from a clock that has been put back since would hide all that follow.
    const sequence = Math.floor(last > now + CLOCK_TOLERANCE_MS ? now : Math.max(now, last + 1));
    if (last > sequence) this.#marks.delete(self);
    const row: HistoryRow = { ...definedFields(record), origin: self, sequence };
    if (this.#take(row, now)) for (const listener of this.#onRecorded) listener();
  }

  /** Calls `listener` after each build recorded here. */
  onRecorded(listener: () => void): void {
    this.#onRecorded.add(listener);
  }

  predict(name: string, system: string, shape?: DerivationShape): Prediction {
    const { predictedMs, history } = this.#predictor.predict(name, system, shape);
    const neverRace = this.#names.neverRace(name, this.#components.clock.now());
    return { predictedMs, history: neverRace === undefined ? history : { ...history, neverRace } };
  }

  /** Speed of a machine, as its builds have it and as far as they do not, as it says itself. With `system`: when emulating that. */
  speedOf(peerId: string, claimed: number, system?: string): number {
    return this.#speeds.speedOf(peerId, claimed, system);
  }

  noteRace(name: string, won: boolean): void {
    const memory = this.#names.raced(name, won, this.#components.clock.now());
    this.#write((database) => database.rememberName(name, memory));
  }

  /** Outputs of an input-addressed build. Answers those that an earlier build made differently: that name is never raced again. */
  noteOutputs(
    name: string,
    outputs: readonly { readonly path: string; readonly narHash: string }[],
    peerId: string,
  ): DifferingOutput[] {
    const at = this.#components.clock.now();
    const differing: DifferingOutput[] = [];
    const fresh: KnownOutput[] = [];
    this.#write((database) => {
      for (const { path, narHash } of outputs) {
        const known = database.output(path);
        if (known === undefined) fresh.push({ path, narHash, peer: peerId, at });
        else if (known.narHash !== narHash) {
          const first = { peerId: known.peer, narHash: known.narHash };
          differing.push({ output: path, first, second: { peerId, narHash } });
        }
      }
      if (fresh.length > 0) database.rememberOutputs(fresh);
    });
    if (differing.length > 0) this.noteDifference(name);
    return differing;
  }

  /** Two builds of this name differed. */
  noteDifference(name: string): void {
    const memory = this.#names.differed(name, this.#components.clock.now());
    this.#write((database) => database.rememberName(name, memory));
  }

  /** The newest row known of each origin. */
  marks(): HistoryMark[] {
    return [...this.#marks].map(([origin, sequence]) => ({ origin, sequence }));
  }

  /** Whether a row with this number needs no telling. */
  knows(origin: string, sequence: number): boolean {
    return sequence <= (this.#marks.get(origin) ?? 0);
  }

  /** Rows of these origins that the asker does not have, at most `limit`. */
  since(have: ReadonlyMap<string, number>, origins: readonly string[], limit: number): HistoryRow[] {
    this.#flush();
    let rows: HistoryRow[] = [];
    this.#write((database) => {
      rows = database.since(have, origins, limit);
    });
    return rows;
  }

  /** Rows another member told. Answers how many were new and could be true. */
  accept(rows: readonly HistoryRow[]): number {
    const now = this.#components.clock.now();
    const { self } = this.#init;
    let taken = 0;
    for (const row of rows) {
      const known = row.origin === self || this.#components.isMember(row.origin);
      // A number from the future would hide the origin's true rows for good.
      if (!known || row.sequence > now + CLOCK_TOLERANCE_MS) continue;
      if (row.sequence > (this.#marks.get(row.origin) ?? 0) && this.#take(row, now)) taken++;
    }
    return taken;
  }

  /** Members came or went. */
  membershipChanged(): void {
    this.#predictor.reweigh();
  }

  async #open(): Promise<void> {
    const file = join(this.#init.stateDir, 'history.sqlite');
    const now = this.#components.clock.now();
    // What a file that turns out to be damaged had said until then may as well be believed.
    const database = await openHistoryFile(file, this.#components.logger, async (opened) => {
      for (const rows of opened.builds()) {
        for (const row of rows) this.#learn(row, now);
        await setImmediate();
      }
      this.#names.load(opened.names());
      for (const { origin, sequence } of opened.marks()) {
        this.#marks.set(origin, Math.max(sequence, this.#marks.get(origin) ?? 0));
      }
    });
    this.#database = database;
    this.#opened = true;
    if (this.#pending.length > 0) this.#flushSoon();
  }

  /** Believes a row if it can be true. */
  #take(row: HistoryRow, now: number): boolean {
    this.#marks.set(row.origin, Math.max(row.sequence, this.#marks.get(row.origin) ?? 0));
    if (!isPlausible(row, now)) return false;
    this.#learn(row, now);
    this.#pending.push(row);
    this.#flushSoon();
    return true;
  }

  #learn(row: HistoryRow, now: number): void {
    this.#predictor.add(row, now);
    this.#speeds.add(row, now);
  }

  #weightOf(origin: string | undefined): number {
    if (origin === undefined || origin === this.#init.self) return 1;
    return this.#components.isMember(origin) ? 1 : REMOVED_ORIGIN_WEIGHT;
  }

  #flushSoon(): void {
    if (this.#flushTimer !== undefined || this.#closed) return;
    this.#flushTimer = this.#components.clock.after(FLUSH_DELAY_MS, () => {
      this.#flushTimer = undefined;
      this.#flush(FLUSH_ROWS);
      if (this.#pending.length > 0 && this.#database !== undefined) this.#flushSoon();
    });
  }

  #flush(most = Number.POSITIVE_INFINITY): void {
    this.#write((database) => {
      const rows = this.#pending.slice(0, most);
      if (rows.length > 0) database.append(rows);
      this.#pending = this.#pending.slice(rows.length);
    });
    // With no file, rows are learned and need no writing.
    if (this.#opened && this.#database === undefined) this.#pending = [];
  }

  /** Does something with the file; one that fails is given up, with one warning. */
  #write(work: (database: HistoryDatabase) => void): void {
    if (this.#database === undefined) return;
    try {
      work(this.#database);
    } catch (error) {
      this.#components.logger.warn(
        { err: error },
        'the history of builds can no longer be kept on this disk',
      );
      this.#database.close();
      this.#database = undefined;
    }
  }
}

/** Rows travel and are written without fields that say nothing. */
function definedFields(record: BuildRecord): Omit<HistoryRow, 'origin' | 'sequence'> {
  const { name, system, machine, at, wallMs, outcome } = record;
  return {
    name,
    system,
    machine,
    at,
    wallMs,
    outcome,
    ...(record.speed === undefined ? {} : { speed: record.speed }),
    ...(record.emulated === true ? { emulated: true } : {}),
    ...(record.cores === undefined ? {} : { cores: record.cores }),
    ...(record.cpuMs === undefined ? {} : { cpuMs: record.cpuMs }),
    ...(record.memoryPeakBytes === undefined ? {} : { memoryPeakBytes: record.memoryPeakBytes }),
    ...(record.outputBytes === undefined ? {} : { outputBytes: record.outputBytes }),
  };
}
