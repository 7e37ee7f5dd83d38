import type { Clock, Logger } from '@mesh/net';
import {
  type BuildOutcome,
  initialWorker,
  stepWorker,
  type WorkerMachineEffect,
  type WorkerMachineEvent,
} from '@mesh/schedule';
import type { HomeMessage, LeaseMessage, LeaseOutcome, WorkerMessage } from '@mesh/wire';
import type { MachineCapability } from '../machine/capability.ts';
import type { WorkChannel } from '../memory-channel.ts';
import { StepLoop, type WithoutNow } from '../step-loop.ts';
import type { BuildConnections } from './build-connections.ts';
import { LogBatch } from './log-batch.ts';
import type { OutputKeeper } from './output-keeper.ts';
import type { OutputRoots } from './output-roots.ts';
import { type BuildSettings, DerivationBuild, machineFailure } from './run-build.ts';

/** Brings the inputs of a lease into this store. */
export interface InputFetcher {
  fetchClosure(
    inputs: readonly { path: string; holders: readonly string[] }[],
    options: { signal: AbortSignal; onPlan(paths: number, bytes: number): void },
  ): Promise<{ sources: readonly { peer: string; bytes: number }[] }>;
  /** There will be something to fetch or to serve soon. */
  prepare(): void;
}

export interface WorkerInit {
  self: string;
  name: string;
  /** Tells this run's requests from those of an earlier one. */
  incarnation: string;
  capability: MachineCapability;
  aheadSlots: number;
  settings: BuildSettings;
}

export interface WorkerComponents {
  clock: Clock;
  logger: Logger;
  fetcher: InputFetcher;
  connections: BuildConnections;
  roots: OutputRoots;
  keeper: OutputKeeper;
  /** Inputs that no member could give, if that is what this error says. */
  missingPaths(error: unknown): string[];
}

/** A lease as this worker holds it. */
interface Held {
  message: LeaseMessage;
  home: string;
  controller: AbortController;
  build?: Promise<DerivationBuild>;
  fetched: { peer: string; bytes: number }[];
  missing: string[];
  buildMs: number;
}

/**
 * The part of an agent that runs derivations, for its own home and for others: carries out what the worker state machine decides,
 * over one channel to each home.
 */
export class Worker {
  readonly #init: WorkerInit;
  readonly #components: WorkerComponents;
  readonly #loop: StepLoop<WorkerMachineEvent, WorkerMachineEffect>;
  readonly #channels = new Map<string, WorkChannel<WorkerMessage, HomeMessage>>();
  readonly #held = new Map<string, Held>();
  #building = 0;
  #idle: (() => void)[] = [];

  constructor(init: WorkerInit, components: WorkerComponents) {
    this.#init = init;
    this.#components = components;
    const state = initialWorker({
      self: init.self,
      incarnation: init.incarnation,
      slots: init.capability.slots,
      aheadSlots: init.aheadSlots,
    });
    this.#loop = new StepLoop({
      clock: components.clock,
      step: (event) => stepWorker(state, event).effects,
      perform: (effect) => this.#perform(effect),
      tick: { type: 'tick' },
    });
  }

  /** Builds running at the moment. */
  get running(): number {
    return this.#building;
  }

  /** Serves one home until its channel ends. */
  async serve(home: string, channel: WorkChannel<WorkerMessage, HomeMessage>): Promise<void> {
    this.#channels.set(home, channel);
    const { systems, systemFeatures, slots } = this.#init.capability;
    this.#send(home, { type: 'worker', name: this.#init.name, systems, systemFeatures, slots });
    try {
      for await (const message of channel) this.#receive(home, message);
    } finally {
      // A newer channel of the same home may have taken over.
      if (this.#channels.get(home) === channel) {
        this.#channels.delete(home);
        this.#dispatch({ type: 'home-down', home });
        await this.#components.roots.release(home);
      }
    }
  }

  /** Kills what runs and waits for it to be gone. */
  async stop(): Promise<void> {
    this.#loop.stop();
    for (const held of this.#held.values()) held.controller.abort();
    if (this.#building > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#components.keeper.stop();
    this.#components.connections.close();
    await this.#components.roots.releaseAll();
  }

  #receive(home: string, message: HomeMessage): void {
    switch (message.type) {
      case 'advertise':
        this.#dispatch({ type: message.work ? 'home-advertised' : 'home-withdrawn', home });
        if (message.work) {
          if (home !== this.#init.self) this.#components.fetcher.prepare();
          this.#components.roots.retain(home);
        } else this.#components.roots.releaseSoon(home);
        break;
      case 'lease':
        this.#leased(home, message);
        break;
      case 'revoke':
        this.#dispatch({ type: 'revoke', home, lease: message.lease });
        break;
      case 'cancel':
        this.#dispatch({ type: 'cancelled', home, lease: message.lease });
        break;
    }
  }

  #leased(home: string, message: LeaseMessage): void {
    const { lease, attempt, request, drvPath, ahead } = message;
    if (message.kind !== 'derivation') {
      const detail = `This machine knows no work of the kind ${message.kind}.`;
      this.#send(home, { type: 'returned', lease, attempt, reason: 'machine', detail, missing: [] });
      return;
    }
    if (!this.#held.has(lease)) {
      const controller = new AbortController();
      this.#held.set(lease, { message, home, controller, fetched: [], missing: [], buildMs: 0 });
    }
    this.#dispatch({ type: 'leased', home, lease, attempt, request, drvPath, ahead });
  }

  #perform(effect: Exclude<WorkerMachineEffect, { type: 'wake-at' }>): void {
    switch (effect.type) {
      case 'steal':
        this.#send(effect.home, { type: 'steal', request: effect.request, ahead: effect.ahead });
        break;
      case 'unsteal':
        this.#send(effect.home, { type: 'unsteal', request: effect.request });
        break;
      case 'started':
        this.#send(effect.home, { type: 'started', lease: effect.lease, attempt: effect.attempt });
        break;
      case 'heartbeat':
        this.#send(effect.home, {
          type: 'heartbeat',
          leases: effect.leases.map(({ lease, attempt }) => ({ lease, attempt })),
        });
        break;
      case 'returned':
        this.#returned(effect);
        break;
      case 'result':
        this.#result(effect);
        break;
      case 'fetch':
        void this.#fetch(effect.lease);
        break;
      case 'build':
        void this.#build(effect.lease);
        break;
      case 'abort':
        this.#held.get(effect.lease)?.controller.abort();
        if (!effect.building) this.#forget(effect.lease);
        break;
    }
  }

  #returned(effect: Extract<WorkerMachineEffect, { type: 'returned' }>): void {
    const { lease, attempt, reason } = effect;
    const missing = this.#held.get(lease)?.missing ?? [];
    this.#send(effect.home, {
      type: 'returned',
      lease,
      attempt,
      reason,
      detail: effect.detail ?? '',
      missing,
    });
    this.#held.get(lease)?.controller.abort();
    this.#forget(lease);
  }

  #result(effect: Extract<WorkerMachineEffect, { type: 'result' }>): void {
    const { lease, attempt } = effect;
    const held = this.#held.get(lease);
    this.#send(effect.home, {
      type: 'result',
      lease,
      attempt,
      outcome: wireOutcome(effect.outcome),
      buildMs: held?.buildMs ?? 0,
      fetched: held?.fetched ?? [],
    });
    this.#forget(lease);
  }

  /** Connects (rooting the inputs) and fetches what is missing. */
  async #fetch(lease: string): Promise<void> {
    const held = this.#held.get(lease);
    if (held === undefined) return;
    const { message, home, controller } = held;
    const ref = { lease, attempt: message.attempt };
    try {
      held.build = DerivationBuild.open({
        lease: message,
        connections: this.#components.connections,
        settings: this.#init.settings,
        signal: controller.signal,
      });
      const missing = await (await held.build).missingInputs();
      if (missing.length > 0) {
        const { sources } = await this.#components.fetcher.fetchClosure(missing, {
          signal: controller.signal,
          onPlan: (paths, bytes) => this.#send(home, { type: 'fetching', ...ref, paths, bytes }),
        });
        held.fetched = [...sources];
      }
      this.#send(home, {
        type: 'fetched',
        ...ref,
        bytes: held.fetched.reduce((sum, source) => sum + source.bytes, 0),
      });
      this.#dispatch({ type: 'inputs-ready', lease });
    } catch (error) {
      if (controller.signal.aborted) return;
      held.missing = this.#components.missingPaths(error);
      const reason = error instanceof Error ? error.message : String(error);
      this.#components.logger.warn({ drvPath: message.drvPath, err: error }, 'inputs could not be fetched');
      this.#dispatch({ type: 'inputs-failed', lease, message: reason.slice(0, 4_000) });
    }
  }

  async #build(lease: string): Promise<void> {
    const held = this.#held.get(lease);
    if (held === undefined) return;
    this.#building += 1;
    const outcome = await this.#run(held);
    this.#building -= 1;
    if (held.controller.signal.aborted) {
      this.#dispatch({ type: 'aborted', lease });
      this.#forget(lease);
    } else {
      this.#dispatch({ type: 'build-finished', lease, outcome });
    }
    if (this.#building === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #run(held: Held): Promise<LeaseOutcome> {
    const { message, home } = held;
    const { clock, logger } = this.#components;
    const ref = { lease: message.lease, attempt: message.attempt };
    const log = new LogBatch(clock, async (lines, phase) => {
      await this.#channels
        .get(home)
        ?.send({ type: 'log', ...ref, lines, ...(phase === undefined ? {} : { phase }) })
        // The home is gone: its grace decides over the build, the log has no reader any more.
        .catch(() => undefined);
    });
    try {
      const build = held.build === undefined ? undefined : await held.build;
      if (build === undefined) return machineFailure('the lease was never prepared');
      await using running = build;
      const startedMs = clock.monotonic();
      const outcome = await running.run({
        onLog: (line) => log.add(line),
        onPhase: (phase) => log.phase(phase),
      });
      held.buildMs = clock.monotonic() - startedMs;
      await log.flush();
      if (outcome.type !== 'built') return outcome;
      this.#components.keeper.keep(
        home,
        outcome.outputs.map((output) => output.path),
      );
      return outcome;
    } catch (error) {
      if (!held.controller.signal.aborted) {
        logger.warn({ drvPath: message.drvPath, err: error }, 'a build could not be run');
      }
      return machineFailure(error);
    }
  }

  #forget(lease: string): void {
    const held = this.#held.get(lease);
    this.#held.delete(lease);
    // A connection that never came about needs no closing.
    void held?.build?.then(
      (build) => build[Symbol.asyncDispose](),
      () => undefined,
    );
  }

  #dispatch(event: WithoutNow<WorkerMachineEvent>): void {
    this.#loop.dispatch(event);
  }

  #send(home: string, message: WorkerMessage): void {
    this.#channels
      .get(home)
      ?.send(message)
      .catch((error: unknown) => {
        // The channel's own end tells the state machine; what was to be said is moot.
        this.#components.logger.debug({ err: error, home }, 'a message to a home was not sent');
      });
  }
}

function wireOutcome(outcome: BuildOutcome): LeaseOutcome {
  switch (outcome.type) {
    case 'built':
      return { type: 'built', outputs: outcome.outputs.map((output) => ({ ...output })) };
    case 'failed':
      return { type: 'failed', message: outcome.message };
    case 'machine-failure':
      return outcome;
  }
}
