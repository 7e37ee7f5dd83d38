import type { Clock, Logger } from '@mesh/net';
import { NixError } from '@mesh/nix';
import {
  initialWorker,
  stepWorker,
  unpromisedMemory,
  type WorkerMachineEffect,
  type WorkerMachineEvent,
  type WorkerState,
} from '@mesh/schedule';
import type { HomeMessage, LeaseMessage, WorkerMessage } from '@mesh/wire';
import type { WorkChannel } from '../memory-channel.ts';
import { StepLoop, type WithoutNow } from '../step-loop.ts';
import type { BuildConnections } from './build-connections.ts';
import { effectMessage } from './effect-message.ts';
import type { FarStore } from './far-store.ts';
import { type BuildSurroundings, HeldLease, type InputFetcher } from './held-lease.ts';
import { type Introduction, Introductions } from './introduction.ts';
import { introduceTo, type MachineIdentity, type MachineNews } from './machine-introduction.ts';
import type { Offer } from './offer.ts';
import type { OutputKeeper } from './output-keeper.ts';
import type { OutputRoots } from './output-roots.ts';
import { RefusedForRoom } from './refused-for-room.ts';
import type { BuildSettings } from './run-build.ts';
import { wireOutcome } from './wire-outcome.ts';

export interface WorkerInit extends MachineIdentity {
  /** Tells this run's requests from those of an earlier one. */
  incarnation: string;
  aheadSlots: number;
  settings: BuildSettings;
}

export interface WorkerComponents {
  clock: Clock;
  logger: Logger;
  fetcher: InputFetcher;
  connections: BuildConnections;
  roots: Pick<OutputRoots, 'retain' | 'releaseSoon' | 'releaseAll'>;
  keeper: Pick<OutputKeeper, 'keep' | 'used' | 'stop'>;
  /** Where builds run in a store that is not this machine's. */
  farStore?: FarStore;
  news: MachineNews;
  surroundings: BuildSurroundings;
  /** Builds run on a daemon that takes no connection any more. */
  daemonIsDown?(): void;
  /** Inputs that no member could give, if that is what this error says. */
  missingPaths(error: unknown): string[];
}

/**
 * The part of an agent that runs derivations, for its own home and for others: carries out what the worker state machine decides,
 * over one channel to each home.
 */
export class Worker {
  readonly #init: WorkerInit;
  readonly #components: WorkerComponents;
  readonly #state: WorkerState;
  readonly #loop: StepLoop<WorkerMachineEvent, WorkerMachineEffect>;
  readonly #channels = new Map<string, WorkChannel<WorkerMessage, HomeMessage>>();
  readonly #introductions: Introductions;
  readonly #held = new Map<string, HeldLease>();
  readonly #refused = new RefusedForRoom();
  #offer: Offer;
  #building = 0;
  #idle: (() => void)[] = [];
  #finished: (() => void)[] = [];

  constructor(init: WorkerInit, offer: Offer, components: WorkerComponents) {
    this.#init = init;
    this.#offer = offer;
    this.#components = components;
    this.#state = initialWorker({
      self: init.self,
      incarnation: init.incarnation,
      slots: offer.ownSlots,
      capacity: offer.capacity,
      aheadSlots: init.aheadSlots,
    });
    this.#loop = new StepLoop({
      clock: components.clock,
      step: (event) => stepWorker(this.#state, event).effects,
      perform: (effect) => this.#perform(effect),
      tick: { type: 'tick' },
    });
    this.#introductions = new Introductions({
      clock: components.clock,
      describe: (home) => this.#introduction(home),
      send: (home, message) => this.#send(home, message),
    });
  }

  /** Builds running at the moment. */
  get running(): number {
    return this.#building;
  }

  /** What this machine gives from now on: running builds go on, nothing new begins beyond it. */
  setOffer(offer: Offer): void {
    this.#offer = offer;
    this.#dispatch({ type: 'capacity', capacity: offer.capacity });
    this.#introductions.refresh();
  }

  /** Serves one home until its channel ends. */
  async serve(home: string, channel: WorkChannel<WorkerMessage, HomeMessage>): Promise<void> {
    // A home that opens another has given up this one, or is a new run of its agent; we are the last to notice.
    if (this.#channels.has(home)) this.#dispatch({ type: 'home-down', home });
    this.#channels.set(home, channel);
    this.#introductions.greet(home);
    this.#dispatch({ type: 'home-up', home });
    try {
      for await (const message of channel) this.#receive(home, message);
    } finally {
      // A newer channel of the same home may have taken over.
      if (this.#channels.get(home) === channel) {
        this.#channels.delete(home);
        this.#introductions.leave(home);
        this.#dispatch({ type: 'home-down', home });
        // It may be back in a moment, with the same jobs.
        this.#components.roots.releaseSoon(home);
      }
    }
  }

  /** Takes nothing more, gives back what it has not begun, and resolves when the rest is over. */
  async finish(): Promise<void> {
    const capacity = { ...this.#offer.capacity, slots: 0, slotsForOthers: 0 };
    this.setOffer({ ...this.#offer, capacity, ownSlots: 0, otherSlots: 0 });
    if (this.#held.size > 0) await new Promise<void>((resolve) => this.#finished.push(resolve));
  }

  /** Kills what runs and waits for it to be gone. */
  async stop(): Promise<void> {
    this.#loop.stop();
    for (const home of this.#channels.keys()) this.#introductions.leave(home);
    for (const held of this.#held.values()) held.abort();
    if (this.#building > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#components.keeper.stop();
    this.#components.connections.close();
    await this.#components.roots.releaseAll();
  }

  #introduction(home: string): Introduction {
    const { news } = this.#components;
    return introduceTo(home, this.#init, this.#offer, news, unpromisedMemory(this.#state));
  }

  #receive(home: string, message: HomeMessage): void {
    switch (message.type) {
      case 'advertise':
        this.#advertised(home, message);
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

  #advertised(home: string, message: Extract<HomeMessage, { type: 'advertise' }>): void {
    const { work, hungry, weight } = message;
    const news = message.sequence === undefined ? {} : { sequence: message.sequence };
    if (work) {
      this.#dispatch({ type: 'home-advertised', home, hungry, weight, ...news });
      if (home !== this.#init.self) this.#components.fetcher.prepare();
      this.#components.roots.retain(home);
    } else {
      this.#dispatch({ type: 'home-withdrawn', home, ...news });
      this.#components.roots.releaseSoon(home);
    }
  }

  #leased(home: string, message: LeaseMessage): void {
    const { lease, attempt, request, drvPath, ahead, cores, memoryBytes, follows } = message;
    if (message.kind !== 'derivation') {
      const detail = `This machine knows no work of the kind ${message.kind}.`;
      this.#send(home, { type: 'returned', lease, attempt, reason: 'machine', detail, missing: [] });
      return;
    }
    if (!this.#held.has(lease)) {
      const { clock, logger, fetcher, connections, surroundings, farStore } = this.#components;
      const { settings } = this.#init;
      const tell = async (said: WorkerMessage): Promise<void> => this.#channels.get(home)?.send(said);
      const delivering = (): void => this.#dispatch({ type: 'delivering', lease });
      const components = {
        ...{ clock, logger, fetcher, connections, surroundings, settings, farStore, delivering, tell },
      };
      this.#held.set(lease, new HeldLease(home, message, components));
      this.#components.keeper.used(message.inputs.map(({ path }) => path));
    }
    this.#dispatch({
      type: 'leased',
      home,
      lease,
      attempt,
      request,
      drvPath,
      ahead,
      cores,
      memoryBytes,
      ...(follows === undefined ? {} : { follows }),
    });
  }

  #perform(effect: Exclude<WorkerMachineEffect, { type: 'wake-at' }>): void {
    switch (effect.type) {
      case 'steal':
      case 'unsteal':
      case 'started':
      case 'heartbeat':
        this.#send(effect.home, effectMessage(effect));
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
        void this.#build(effect.lease, effect.cores);
        break;
      case 'abort':
        this.#held.get(effect.lease)?.abort();
        break;
    }
    if (effect.type === 'abort' && !effect.building) this.#forget(effect.lease);
  }

  #returned(effect: Extract<WorkerMachineEffect, { type: 'returned' }>): void {
    const { home, lease, attempt, reason } = effect;
    const held = this.#held.get(lease);
    // Or the home would send the same again to a machine that has no more room for it than before.
    if (reason === 'busy') this.#introductions.urgent(home);
    const detail = effect.detail ?? '';
    this.#send(home, { type: 'returned', lease, attempt, reason, detail, missing: held?.missing ?? [] });
    held?.abort();
    this.#forget(lease);
  }

  #result(effect: Extract<WorkerMachineEffect, { type: 'result' }>): void {
    const { lease, attempt } = effect;
    const cost = this.#held.get(lease)?.cost ?? { buildMs: 0, fetched: [] };
    this.#send(effect.home, {
      type: 'result',
      lease,
      attempt,
      outcome: wireOutcome(effect.outcome),
      ...cost,
    });
    this.#forget(lease);
  }

  async #fetch(lease: string): Promise<void> {
    const held = this.#held.get(lease);
    if (held === undefined) return;
    const { drvPath } = held.message;
    try {
      await held.fetch();
      this.#refused.forget(drvPath);
      this.#dispatch({ type: 'inputs-ready', lease });
    } catch (error) {
      if (held.aborted) return;
      held.missing = this.#components.missingPaths(error);
      const message = (error instanceof Error ? error.message : String(error)).slice(0, 4_000);
      this.#components.logger.warn({ drvPath, err: error }, 'inputs could not be fetched');
      const reason = this.#refused.reason(drvPath, error);
      if (error instanceof NixError && error.code === 'NIX_DAEMON_UNREACHABLE')
        this.#components.daemonIsDown?.();
      this.#dispatch({ type: 'inputs-failed', lease, message, reason });
    }
  }

  async #build(lease: string, cores: number): Promise<void> {
    const held = this.#held.get(lease);
    if (held === undefined) return;
    this.#building += 1;
    const outcome = await held.build(cores);
    this.#building -= 1;
    if (outcome.type === 'built')
      this.#components.keeper.keep(
        held.home,
        outcome.outputs.map((output) => output.path),
      );
    if (held.aborted) {
      this.#dispatch({ type: 'aborted', lease });
      this.#forget(lease);
    } else {
      this.#dispatch({ type: 'build-finished', lease, outcome });
    }
    if (this.#building === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #forget(lease: string): void {
    this.#held.get(lease)?.release();
    this.#held.delete(lease);
    if (this.#held.size === 0) for (const resolve of this.#finished.splice(0)) resolve();
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
