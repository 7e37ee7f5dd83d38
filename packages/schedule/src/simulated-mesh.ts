import { stepHome } from './home.ts';
import type { DerivationOutcome, HomeEffect, HomeEvent } from './home-protocol.ts';
import { type HomeState, initialHome } from './home-state.ts';
import { type Endpoint, SimulatedNetwork, type SimulatedNetworkInit } from './simulated-network.ts';
import type {
  BuildOutcome,
  DerivationNode,
  DrvPath,
  JobId,
  JobOptions,
  LeaseId,
  WorkerInfo,
} from './types.ts';
import { stepWorker } from './worker.ts';
import type { WorkerMachineEffect, WorkerMachineEvent } from './worker-protocol.ts';
import { initialWorker, type WorkerState } from './worker-state.ts';

type Without<T> = T extends unknown ? Omit<T, 'now'> : never;

export interface SimulatedMeshInit extends SimulatedNetworkInit {
  readonly slots: readonly number[];
  readonly aheadSlots: number;
  /** What each machine says of itself beyond its slots. */
  readonly machines?: readonly Partial<WorkerInfo>[];
  /** Derivations whose build answers with a failure. */
  readonly failing: ReadonlySet<DrvPath>;
  /** Builds that fail for their machine's sake, before that stops. */
  readonly machineFailures: number;
}

interface Agent extends Endpoint {
  readonly life: number;
  home: HomeState;
  worker: WorkerState;
  homeWake: number | undefined;
  workerWake: number | undefined;
  /** Outputs in its store, by derivation. It survives a crash. */
  readonly store: Set<DrvPath>;
  readonly running: Map<LeaseId, DrvPath>;
  readonly answers: Map<number, Set<number>>;
}

export interface JobEnd {
  readonly ok: boolean;
  readonly cancelled: boolean;
  readonly failed: readonly DrvPath[];
  readonly skipped: readonly DrvPath[];
}

/**
 * Whole agents (home and worker, a store, builds) in one process, for tests. Everything under way is picked in
 * random order, may come twice, and is lost with its connection. Throws on the spot when a rule is broken.
 */
export class SimulatedMesh {
  readonly agents: Agent[];
  readonly jobs = new Map<JobId, JobEnd>();
  /** Finished builds of each derivation, anywhere. */
  readonly builds = new Map<DrvPath, number>();
  /** Leases granted, races and links of chains among them. */
  readonly granted = { leases: 0, races: 0, links: 0 };
  readonly #init: SimulatedMeshInit;
  readonly #network: SimulatedNetwork;
  readonly #nodes = new Map<DrvPath, DerivationNode>();
  readonly #accepted = new Set<string>();
  readonly #attempts = new Map<string, number>();
  #machineFailures: number;
  #faults = 0;
  #now = 1_000;

  constructor(init: SimulatedMeshInit) {
    this.#init = init;
    this.#network = new SimulatedNetwork(init);
    this.#machineFailures = init.machineFailures;
    this.agents = init.slots.map((slots, index) => this.#newAgent(index, 0, slots, new Set()));
    for (const agent of this.agents) this.#connect(agent, agent);
    for (const a of this.agents) for (const b of this.agents) if (a.index < b.index) this.#link(a, b);
  }

  /** Describes a job's graph in pieces that come in any order. */
  submit(at: number, job: JobId, nodes: readonly DerivationNode[], options: JobOptions): void {
    const agent = this.agents[at]!;
    const life = agent.life;
    for (const node of nodes) this.#nodes.set(node.drvPath, node);
    this.#toHome(agent, { type: 'job-added', job, options });
    let left = nodes.length;
    const seal = () => this.#toHome(agent, { type: 'job-sealed', job });
    if (left === 0) seal();
    for (const node of nodes) {
      this.#network.later(() => {
        if (agent.life !== life || !agent.alive) return;
        this.#toHome(agent, { type: 'derivations-added', job, derivations: [node] });
        if (--left === 0) seal();
      });
    }
  }

  cancel(at: number, job: JobId): void {
    this.#toHome(this.agents[at]!, { type: 'job-cancelled', job });
  }

  /** Pulls the plug. Builds stop; the store stays. */
  crash(index: number): void {
    const agent = this.agents[index]!;
    if (!agent.alive) return;
    this.#faults++;
    for (const other of this.agents) if (other !== agent) this.#unlink(agent, other);
    agent.alive = false;
    agent.running.clear();
  }

  restart(index: number): void {
    const old = this.agents[index]!;
    if (old.alive) return;
    const agent = this.#newAgent(index, old.life + 1, this.#init.slots[index]!, old.store);
    this.agents[index] = agent;
    this.#connect(agent, agent);
    for (const other of this.agents) if (other !== agent && other.alive) this.#link(agent, other);
  }

  /** Breaks the connection and makes a new one at once. */
  blip(a: number, b: number): void {
    const [one, two] = [this.agents[a]!, this.agents[b]!];
    if (one === two || !one.alive || !two.alive) return;
    this.#faults++;
    this.#unlink(one, two);
    this.#link(one, two);
  }

  /** Delivers up to `steps` things; true while there is more to do. */
  run(steps: number): boolean {
    for (let i = 0; i < steps; i++) {
      this.#now += Math.floor(this.#init.random() * 3);
      if (this.#init.random() < 0.01) this.#tick(this.#now + 500);
      if (this.#network.empty && !this.#idle()) return false;
      this.#network.deliverOne();
    }
    return true;
  }

  get busy(): boolean {
    return this.agents.some((agent) => agent.alive && agent.home.jobs.size > 0);
  }

  #newAgent(index: number, life: number, slots: number, store: Set<DrvPath>): Agent {
    const id = `p${index}`;
    const incarnation = `${id}.${life}`;
    return {
      index,
      id,
      life,
      alive: true,
      home: initialHome({ self: id, incarnation, maxAttempts: 60 }),
      worker: initialWorker({ self: id, incarnation, slots, aheadSlots: this.#init.aheadSlots }),
      homeWake: undefined,
      workerWake: undefined,
      store,
      running: new Map(),
      answers: new Map(),
    };
  }

  #connect(home: Agent, worker: Agent): void {
    const { id, index } = worker;
    this.#toHome(home, {
      type: 'worker-up',
      worker: {
        peerId: id,
        name: id,
        isHome: home === worker,
        systems: ['x86_64-linux'],
        features: [],
        slots: this.#init.slots[index]!,
        ...this.#init.machines?.[index],
      },
    });
    this.#toWorker(worker, { type: 'home-up', home: home.id });
  }

  #link(a: Agent, b: Agent): void {
    this.#network.connect(a, b);
    for (const [one, other] of [[a, b] as const, [b, a] as const]) {
      this.#toHome(one, { type: 'home-up', from: other.id });
      this.#connect(one, other);
    }
  }

  #unlink(a: Agent, b: Agent): void {
    if (!this.#network.disconnect(a, b)) return;
    for (const [one, other] of [[a, b] as const, [b, a] as const]) {
      if (!one.alive) continue;
      this.#toHome(one, { type: 'worker-down', peerId: other.id });
      this.#toHome(one, { type: 'home-down', from: other.id });
      this.#toWorker(one, { type: 'home-down', home: other.id });
      for (const stamp of [...one.answers.keys()]) this.#answered(one, stamp, other.index);
    }
  }

  #send(from: Agent, toId: string, deliver: (to: Agent) => void, queue?: string): void {
    const to = this.agents.find((agent) => agent.id === toId)!;
    this.#network.send(from, to, queue, () => deliver(to));
  }

  /** Nothing is under way: the next alarm clock is what happens. False when nobody has set one. */
  #idle(): boolean {
    let at = Number.POSITIVE_INFINITY;
    for (const agent of this.agents)
      if (agent.alive) at = Math.min(at, agent.homeWake ?? at, agent.workerWake ?? at);
    if (at === Number.POSITIVE_INFINITY) return false;
    this.#tick(Math.max(this.#now, at));
    return true;
  }

  #tick(now: number): void {
    this.#now = now;
    for (const agent of this.agents) {
      if (!agent.alive) continue;
      if (agent.workerWake !== undefined && agent.workerWake <= now) {
        agent.workerWake = undefined;
        this.#toWorker(agent, { type: 'tick' });
      }
      if (agent.homeWake !== undefined && agent.homeWake <= now) {
        agent.homeWake = undefined;
        this.#toHome(agent, { type: 'tick' });
      }
    }
  }

  #toHome(agent: Agent, event: Without<HomeEvent>): void {
    const { effects } = stepHome(agent.home, { ...event, now: this.#now } as HomeEvent);
    for (const effect of effects) this.#homeEffect(agent, effect);
  }

  #toWorker(agent: Agent, event: Without<WorkerMachineEvent>): void {
    const { effects } = stepWorker(agent.worker, { ...event, now: this.#now } as WorkerMachineEvent);
    for (const effect of effects) this.#workerEffect(agent, effect);
  }

  #homeEffect(agent: Agent, effect: HomeEffect): void {
    const home = agent.id;
    switch (effect.type) {
      case 'grant': {
        const { peerId, request, lease, attempt, drvPath, ahead, cores, memoryBytes, race, follows } = effect;
        const key = `${home}.${agent.life} ${drvPath} ${effect.job}`;
        if (attempt <= (this.#attempts.get(key) ?? 0))
          throw new Error(`attempt ${attempt} of ${drvPath} again`);
        this.#attempts.set(key, attempt);
        this.#countGrant(agent, drvPath, race, follows !== undefined);
        const leased = { request, lease, attempt, drvPath, ahead, cores, memoryBytes };
        const link = follows === undefined ? {} : { follows };
        // A link that came before what it follows would look like one whose predecessor is over.
        const deliver = (to: Agent) => this.#toWorker(to, { type: 'leased', home, ...leased, ...link });
        this.#send(agent, peerId, deliver, 'leases');
        break;
      }
      case 'revoke':
        this.#send(agent, effect.peerId, (to) =>
          this.#toWorker(to, { type: 'revoke', home, lease: effect.lease }),
        );
        break;
      case 'cancel':
        this.#send(agent, effect.peerId, (to) =>
          this.#toWorker(to, { type: 'cancelled', home, lease: effect.lease }),
        );
        break;
      case 'advertise': {
        const { work, sequence, hungry, weight } = effect;
        const event = work
          ? ({ type: 'home-advertised', home, sequence, hungry, weight } as const)
          : ({ type: 'home-withdrawn', home, sequence } as const);
        this.#send(agent, effect.peerId, (to) => this.#toWorker(to, event));
        break;
      }
      case 'derivation-finished':
        for (const job of effect.jobs) this.#accept(`${job} ${effect.drvPath}`, effect.outcome);
        break;
      case 'derivation-lost':
        if (this.#faults === 0) throw new Error(`${effect.drvPath} lost without a fault`);
        for (const job of effect.jobs) this.#accepted.delete(`${job} ${effect.drvPath}`);
        break;
      case 'job-finished':
        if (this.jobs.has(effect.job)) throw new Error(`${effect.job} finished twice`);
        this.jobs.set(effect.job, effect);
        break;
      case 'claim':
        this.#claim(agent, effect.stamp, effect.drvs, effect.to);
        break;
      case 'release':
        for (const other of this.agents) {
          if (other === agent || (effect.to !== undefined && effect.to !== other.id)) continue;
          const { releases } = effect;
          const event = { type: 'claim-released' as const, from: home, releases };
          this.#send(agent, other.id, (to) => this.#toHome(to, event), 'claims');
        }
        break;
      case 'wake-at':
        agent.homeWake = effect.at;
        break;
      case 'attempt-failed':
      case 'impossible':
      case 'race-finished':
      case 'outputs-differ':
        break;
    }
  }

  #countGrant({ home }: Agent, drvPath: DrvPath, race: boolean, link: boolean): void {
    const leases = home.graph.get(drvPath)?.leases ?? [];
    const live = leases.filter((lease) => home.leases.has(lease.lease));
    if (live.length > 2) throw new Error(`${drvPath} has ${live.length} leases`);
    if (live.length === 2 && !live[1]!.race) throw new Error(`${drvPath} is leased twice and not raced`);
    this.granted.leases++;
    if (race) this.granted.races++;
    if (link) this.granted.links++;
  }

  #accept(key: string, outcome: DerivationOutcome): void {
    if (this.#accepted.has(key)) throw new Error(`${key} accepted twice (${outcome.type})`);
    this.#accepted.add(key);
  }

  #claim(agent: Agent, stamp: number, drvs: readonly DrvPath[], only: string | undefined): void {
    const others = this.agents.filter((o) => o !== agent && o.alive && this.#network.linked(agent, o));
    if (only === undefined) {
      agent.answers.set(stamp, new Set(others.map((other) => other.index)));
      if (others.length === 0) this.#answered(agent, stamp, -1);
    }
    for (const other of others) {
      if (only !== undefined && other.id !== only) continue;
      const deliver = (to: Agent) => {
        this.#toHome(to, { type: 'claim-received', from: agent.id, stamp, drvs });
        if (only !== undefined) return;
        this.#send(to, agent.id, () => this.#answered(agent, stamp, to.index), 'claims');
      };
      this.#send(agent, other.id, deliver, 'claims');
    }
  }

  #answered(agent: Agent, stamp: number, by: number): void {
    const left = agent.answers.get(stamp);
    if (left === undefined) return;
    left.delete(by);
    if (left.size > 0) return;
    agent.answers.delete(stamp);
    const life = agent.life;
    this.#network.later(() => {
      if (agent.alive && agent.life === life) this.#toHome(agent, { type: 'claim-settled', stamp });
    });
  }

  #workerEffect(agent: Agent, effect: WorkerMachineEffect): void {
    const peerId = agent.id;
    switch (effect.type) {
      case 'steal':
      case 'unsteal':
      case 'started':
      case 'returned':
      case 'result':
      case 'heartbeat': {
        const { home, ...message } = effect;
        this.#send(agent, home, (to) => this.#toHome(to, { ...message, peerId }));
        break;
      }
      case 'fetch':
        this.#network.later(() => this.#fetch(agent, effect.lease, effect.drvPath));
        break;
      case 'build':
        this.#build(agent, effect.lease, effect.drvPath);
        break;
      case 'abort':
        if (!effect.building) break;
        this.#network.later(() => {
          agent.running.delete(effect.lease);
          if (agent.alive) this.#toWorker(agent, { type: 'aborted', lease: effect.lease });
        });
        break;
      case 'wake-at':
        agent.workerWake = effect.at;
        break;
    }
  }

  #fetch(agent: Agent, lease: LeaseId, drvPath: DrvPath): void {
    if (!agent.alive || !agent.worker.leases.has(lease)) return;
    for (const dependency of this.#nodes.get(drvPath)!.dependencies) {
      const source = this.agents.find(
        (o) => o.alive && this.#network.linked(agent, o) && o.store.has(dependency),
      );
      if (source === undefined) {
        if (this.#faults === 0)
          throw new Error(`${drvPath} leased to ${agent.id} before ${dependency} exists`);
        this.#toWorker(agent, { type: 'inputs-failed', lease, message: `nobody has ${dependency}` });
        return;
      }
      agent.store.add(dependency);
    }
    this.#toWorker(agent, { type: 'inputs-ready', lease });
  }

  #build(agent: Agent, lease: LeaseId, drvPath: DrvPath): void {
    agent.running.set(lease, drvPath);
    if (agent.running.size > this.#init.slots[agent.index]!)
      throw new Error(`${agent.id} has too many builds`);
    for (const dependency of this.#nodes.get(drvPath)!.dependencies)
      if (!agent.store.has(dependency)) throw new Error(`${drvPath} starts without ${dependency}`);
    this.#network.later(() => {
      if (!agent.alive || !agent.running.delete(lease)) return;
      this.#toWorker(agent, { type: 'build-finished', lease, outcome: this.#outcome(agent, drvPath) });
    });
  }

  #outcome(agent: Agent, drvPath: DrvPath): BuildOutcome {
    if (this.#machineFailures > 0 && this.#init.random() < 0.2) {
      this.#machineFailures--;
      return { type: 'machine-failure', message: 'disk full' };
    }
    this.builds.set(drvPath, (this.builds.get(drvPath) ?? 0) + 1);
    if (this.#init.failing.has(drvPath)) return { type: 'failed', message: 'exit code 1' };
    agent.store.add(drvPath);
    return { type: 'built', outputs: [{ name: 'out', path: `${drvPath}-out`, narBytes: 1_000 }] };
  }
}
