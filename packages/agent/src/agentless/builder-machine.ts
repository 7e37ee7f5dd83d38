import type { Clock, Logger, Timer } from '@mesh/net';
import type { DaemonClient, DaemonPool } from '@mesh/nix';
import { type BuilderMachine, resolveTarget } from '@mesh/ssh';
import { Turns } from '@mesh/transfer';
import type { HomeMessage, WorkerMessage } from '@mesh/wire';
import { memoryChannelPair, type WorkChannel } from '../memory-channel.ts';
import { BuildConnections } from '../worker/build-connections.ts';
import type { InputFetcher } from '../worker/held-lease.ts';
import type { OutputKeeper } from '../worker/output-keeper.ts';
import { Worker } from '../worker/worker.ts';
import { BuilderStore } from './builder-store.ts';
import { DAEMON_AGE_MS, DAEMON_IDLE_MS, DAEMONS_STARTED_AT_ONCE } from './constants.ts';
import { askMachineSize, type MachineSize } from './machine-size.ts';
import { initialRetry, type RetryEvent, type RetryState, stepRetry } from './retry.ts';
import { SshSessions } from './ssh-sessions.ts';

export interface BuilderMachineInit {
  /** This machine's peer id: the only home there is for the machine. */
  readonly self: string;
  readonly machine: BuilderMachine;
  /** Unique among this home's machines. */
  readonly name: string;
  readonly peerId: string;
  /** Where the machine's line names none. */
  readonly ownSystem: string;
  readonly incarnation: string;
  readonly useSubstitutes: boolean;
  readonly maxSilentTimeSeconds: number;
}

export interface BuilderMachineComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly fetcher: InputFetcher;
  readonly local: DaemonPool;
  readonly keeper: Pick<OutputKeeper, 'keep' | 'used'>;
  /** Why this machine is not to be called, in a few words; undefined: it is. */
  readonly objection: (host: string) => string | undefined;
  readonly missingPaths: (error: unknown) => string[];
  /** It is a worker from now on, until the channel ends. */
  readonly attach: (peerId: string, channel: WorkChannel<HomeMessage, WorkerMessage>) => void;
}

/** What is there while the machine is. */
interface Running {
  readonly sessions: SshSessions;
  readonly worker: Worker;
  readonly channel: WorkChannel<WorkerMessage, HomeMessage>;
  readonly connections: BuildConnections;
  readonly nixVersion: string;
  readonly isTrusted: boolean;
}

/** A machine of a machines file as a worker of this home, over SSH, with nothing of the mesh on it. */
export class AgentlessMachine {
  readonly peerId: string;
  readonly init: BuilderMachineInit;
  readonly #components: BuilderMachineComponents;
  readonly #store: BuilderStore;
  readonly #starts = new Turns(DAEMONS_STARTED_AT_ONCE);
  #retry: RetryState = initialRetry;
  #timer: Timer | undefined;
  #running: Running | undefined;
  #stopped = false;

  constructor(init: BuilderMachineInit, components: BuilderMachineComponents) {
    const { local, fetcher } = components;
    this.init = init;
    this.peerId = init.peerId;
    this.#components = components;
    this.#store = new BuilderStore(init, { local, fetcher });
  }

  get state(): RetryState {
    return this.#retry;
  }

  /** Builds that run there at the moment. */
  get running(): number {
    return this.#running?.worker.running ?? 0;
  }

  get nixVersion(): string | undefined {
    return this.#running?.nixVersion;
  }

  /** What is wrong with it, in a sentence; also where it builds all the same. */
  get trouble(): string | undefined {
    const running = this.#running;
    if (running === undefined || running.isTrusted) return this.#retry.trouble;
    const { user } = running.sessions;
    return `its nix-daemon does not trust ${user}, so it takes only inputs that are signed by a key it trusts: add ${user} to trusted-users in nix.conf there.`;
  }

  /** What speaks against it since it was connected. */
  get objection(): string | undefined {
    const running = this.#running;
    return running === undefined ? undefined : this.#objectionTo(running.sessions.host);
  }

  get systems(): readonly string[] {
    const { machine, ownSystem } = this.init;
    return machine.systems.length > 0 ? machine.systems : [ownSystem];
  }

  /** Whether there is work it could do. */
  wanted(wanted: boolean): void {
    this.#step({ type: wanted ? 'wanted' : 'unwanted', nowMs: this.#nowMs });
  }

  /** Begins nothing more; resolves when the builds it has are over and it is let go. */
  async retire(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    const running = this.#running;
    if (running !== undefined) await Promise.race([running.worker.finish(), running.sessions.gone]);
    await this.#leave();
  }

  /** Ends its builds and the connections. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#leave();
  }

  #objectionTo(host: string): string | undefined {
    const { objection } = this.#components;
    return objection(host) ?? objection(this.init.machine.uri.host);
  }

  get #nowMs(): number {
    return this.#components.clock.monotonic();
  }

  #step(event: RetryEvent): void {
    if (this.#stopped) return;
    const before = this.#retry;
    const { state, effects } = stepRetry(before, event);
    this.#retry = state;
    if (state.trouble !== undefined && state.trouble !== before.trouble) {
      this.#components.logger.warn(
        { builder: this.init.name },
        `${this.init.name} builds nothing: ${state.trouble}`,
      );
    }
    for (const effect of effects) {
      if (effect.type === 'connect') void this.#connect();
      else if (effect.type === 'disconnect') void this.#leave();
      else this.#wakeAt(effect.atMs);
    }
  }

  #wakeAt(atMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#components.clock.after(Math.max(0, atMs - this.#nowMs), () =>
      this.#step({ type: 'tick', nowMs: this.#nowMs }),
    );
  }

  #fail(type: 'failed' | 'lost', error: unknown): void {
    const message = error instanceof Error ? error.message : 'the connection to it ended';
    this.#step({ type, message, nowMs: this.#nowMs, random: this.#components.random() });
  }

  async #connect(): Promise<void> {
    let sessions: SshSessions | undefined;
    try {
      sessions = await this.#open();
      const { size, client } = await this.#look(sessions);
      if (this.#stopped) {
        sessions.close();
        return;
      }
      this.#attach(sessions, size, client);
      this.#step({ type: 'connected', nowMs: this.#nowMs });
    } catch (error) {
      sessions?.close();
      this.#fail('failed', error);
    }
  }

  /** The files that say how to reach it are read each time: somebody may have mended them. */
  async #open(): Promise<SshSessions> {
    const { uri, identityFile, hostKey } = this.init.machine;
    const target = resolveTarget(uri, {
      ...(identityFile === undefined ? {} : { identityFile }),
      ...(hostKey === undefined ? {} : { pinnedHostKey: hostKey }),
    });
    const objection = this.#objectionTo(target.host);
    if (objection !== undefined) throw new Error(objection);
    return SshSessions.open(target, (sentence) => this.#components.logger.warn(sentence));
  }

  /** Whether its daemon answers, and how large the machine is. */
  async #look(sessions: SshSessions): Promise<{ size: MachineSize; client: DaemonClient }> {
    const [client, size] = await Promise.all([this.#daemon(sessions), askMachineSize(sessions)]);
    client.close();
    return { size, client };
  }

  async #daemon(sessions: SshSessions): Promise<DaemonClient> {
    const { remoteProgram = 'nix-daemon', remoteStore } = this.init.machine.uri;
    const store = remoteStore === undefined ? '' : ` --store '${remoteStore.replaceAll("'", "'\\''")}'`;
    const end = await this.#starts.take();
    try {
      return await sessions.daemon(`${remoteProgram} --stdio${store}`);
    } finally {
      end();
    }
  }

  /** @param client a connection to its daemon, closed or not: what was said at the beginning counts */
  #attach(sessions: SshSessions, size: MachineSize, { nixVersion, trust }: DaemonClient): void {
    const { attach, clock } = this.#components;
    const isTrusted = trust !== 'untrusted';
    const connections = new BuildConnections(clock, () => this.#daemon(sessions), DAEMON_LIFE);
    const worker = this.#workerOf(size, nixVersion, connections);
    const [homeEnd, workerEnd] = memoryChannelPair<HomeMessage, WorkerMessage>();
    const running = { sessions, worker, channel: workerEnd, connections, nixVersion, isTrusted };
    this.#running = running;
    attach(this.peerId, homeEnd);
    void worker.serve(this.init.self, workerEnd);
    void sessions.gone.then(async (reason) => {
      if (this.#running !== running) return;
      await this.#leave();
      this.#fail('lost', reason);
    });
  }

  #workerOf(size: MachineSize, nixVersion: string, connections: BuildConnections): Worker {
    const { machine, name, incarnation, maxSilentTimeSeconds, useSubstitutes } = this.init;
    const { clock, logger, fetcher, keeper, missingPaths } = this.#components;
    const slots = machine.maxJobs;
    const cores = Math.max(size.cores ?? 0, slots);
    const capability = {
      systems: [...this.systems],
      systemFeatures: [...machine.supportedFeatures],
      cores,
      slots,
      memoryBytes: size.memoryBytes,
      nixVersion,
    };
    return new Worker(
      {
        ...{ self: this.peerId, name, incarnation, capability, tags: [], submittersOnly: '' },
        ...(machine.mandatoryFeatures.length > 0 ? { mandatoryFeatures: machine.mandatoryFeatures } : {}),
        delivers: true,
        // Inputs and outputs pass through this machine: each slot has its next build at hand.
        aheadSlots: slots,
        settings: { cores: 0, maxSilentTimeSeconds, timeoutSeconds: 0, overrides: {}, useSubstitutes },
      },
      {
        capacity: { slots, slotsForOthers: slots, cores, reservedSlots: 0 },
        ownSlots: slots,
        otherSlots: slots,
        closed: undefined,
      },
      {
        ...{ clock, logger, fetcher, connections, missingPaths, farStore: this.#store },
        // What comes from there is this home's own, and rooted with it.
        roots: { retain: nothing, releaseSoon: nothing, releaseAll: async () => undefined },
        keeper: {
          keep: (home, paths) => keeper.keep(home, paths),
          used: (paths) => keeper.used(paths),
          stop: nothing,
        },
        news: { speed: () => machine.speedFactor, emulated: () => ({}), freeDiskBytes: () => undefined },
        // Its processes and its memory are out of sight.
        surroundings: {
          usage: { watch: () => ({ stop: () => ({}) }) },
          oomKills: async () => undefined,
          memoryIsShort: () => false,
          freeDiskBytes: async () => undefined,
        },
      },
    );
  }

  async #leave(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    await running.channel.end();
    await running.worker.stop();
    running.connections.close();
    running.sessions.close();
  }
}

const DAEMON_LIFE = { idleMs: DAEMON_IDLE_MS, ageMs: DAEMON_AGE_MS };

/** Stands where a worker of this machine would do something. */
const nothing = (): void => undefined;
