import { DEATH_NOTICED_MS } from './constants.ts';
import { SimulatorError } from './errors.ts';
import { Network } from './network.ts';
import { Recorder } from './recorder.ts';
import type { Outcome, Policy, Scenario } from './scenario.ts';
import { SimulatedBuilds } from './simulated-builds.ts';
import { SimulatedHome } from './simulated-home.ts';
import { SimulatedStore } from './simulated-store.ts';
import { peerIdOf, SimulatedWorker } from './simulated-worker.ts';
import { VirtualClock } from './virtual-clock.ts';

/** A run longer than this many bounds goes nowhere. */
const MAX_BOUNDS = 1_000;
const LEAST_PATIENCE_MS = 3_600_000;
/** And one in which so much happens while no build ends goes round in circles: per run, derivation and heartbeat. */
const CIRCLE_EVENTS = 20_000;
const CIRCLE_EVENTS_EACH = 50;

/**
 * The mesh's own decision code, one home per job and one worker per machine, under a virtual clock.
 * @throws {SimulatorError} SIMULATOR_STUCK, SIMULATOR_BROKEN
 */
export const meshPolicy: Policy = (scenario) => new MeshRun(scenario).run();

class MeshRun {
  readonly #scenario: Scenario;
  readonly #clock = new VirtualClock();
  readonly #recorder = new Recorder();
  readonly #network: Network;
  readonly #workers: SimulatedWorker[];
  readonly #homes: SimulatedHome[];
  readonly #built: Uint32Array;
  readonly #manyEvents: number;
  #ended = 0;
  #eventsSince = 0;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    const heartbeats = (scenario.mesh.machines.length * scenario.boundMs) / scenario.heartbeatMs;
    this.#manyEvents = CIRCLE_EVENTS + CIRCLE_EVENTS_EACH * (scenario.workload.tasks.length + heartbeats);
    const { mesh, workload, heartbeatMs, random, speedError, faults } = scenario;
    const { tasks } = workload;
    const clock = this.#clock;
    this.#network = new Network(clock, mesh.machines);
    this.#built = new Uint32Array(tasks.length);
    const stores: SimulatedStore[] = [];
    const network = this.#network;
    for (const index of mesh.machines.keys())
      stores.push(new SimulatedStore(index, { clock, network, tasks, stores }));
    const homes = new Map<string, SimulatedHome>();
    const believed = random.split('speeds');
    this.#workers = mesh.machines.map((machine, index) => {
      const speed = scenario.claimedSpeeds?.[index] ?? believed.lognormal(machine.speed, speedError);
      const link = believed.lognormal(1, speedError);
      const linkBytesPerMsTo = (home: number) =>
        link * Math.min(mesh.machines[home]!.upBytesPerMs, machine.downBytesPerMs);
      return new SimulatedWorker(index, machine, {
        clock,
        network,
        store: stores[index]!,
        builds: new SimulatedBuilds(index, machine, {
          clock,
          recorder: this.#recorder,
          limitMemory: scenario.limitMemory,
        }),
        tasks,
        homes,
        heartbeatMs,
        believed: { speed, linkBytesPerMsTo },
        straggle: faults.straggle,
        reportMemory: scenario.limitMemory,
      });
    });
    const workers = new Map(this.#workers.map((worker) => [worker.peerId, worker]));
    const taskOf = new Map(tasks.map((task) => [task.drvPath, task.index]));
    this.#homes = workload.jobs.map((job) => {
      const components = {
        clock,
        network,
        tasks,
        store: stores[job.home]!,
        workers,
        homes,
        heartbeatMs,
        stopwatch: () => performance.now(),
      };
      const home = new SimulatedHome(peerIdOf(job.home), job, taskOf, components, (task) => {
        this.#built[task]!++;
      });
      homes.set(home.peerId, home);
      return home;
    });
  }

  run(): Outcome {
    const { workload, boundMs } = this.#scenario;
    for (const worker of this.#workers) worker.start();
    for (const [i, home] of this.#homes.entries())
      home.submit({ keepGoing: false, priority: workload.jobs[i]!.priority });
    this.#scheduleFaults();
    const patience = Math.max(LEAST_PATIENCE_MS, MAX_BOUNDS * boundMs);
    let left: readonly SimulatedHome[] = this.#homes;
    while (left.length > 0) {
      if (!this.#clock.step() || this.#clock.now > patience || this.#circles()) throw this.#stuck();
      if (left.some((home) => home.finishedAt !== undefined))
        left = left.filter((home) => home.finishedAt === undefined);
    }
    return this.#outcome();
  }

  /** Whether an unreasonable number of things has happened while no build ended. */
  #circles(): boolean {
    const ended = this.#recorder.spans.length;
    if (ended > this.#ended) this.#eventsSince = 0;
    this.#ended = ended;
    return ++this.#eventsSince > this.#manyEvents;
  }

  #scheduleFaults(): void {
    const { faults } = this.#scenario;
    for (const { machine, atMs, backAtMs } of faults.deaths) {
      this.#clock.at(atMs, () => this.#die(machine));
      this.#clock.at(backAtMs, () => this.#revive(machine));
    }
    for (const { atMs, byMs } of faults.jumps) this.#clock.at(atMs, () => this.#clock.jump(byMs));
    for (const { machine, fromMs, toMs } of faults.visits) {
      const worker = this.#workers[machine]!;
      this.#clock.at(fromMs, () => worker.userPresent(true));
      this.#clock.at(toMs, () => worker.userPresent(false));
    }
  }

  #die(machine: number): void {
    this.#network.die(machine);
    this.#workers[machine]!.die();
    const life = this.#network.life(machine);
    this.#clock.after(DEATH_NOTICED_MS, () => {
      if (this.#network.life(machine) === life) this.#gone(machine);
    });
  }

  #revive(machine: number): void {
    // Peers may not have noticed: the new connection tells them.
    this.#gone(machine);
    this.#network.revive(machine);
    this.#workers[machine]!.restart();
  }

  #gone(machine: number): void {
    for (const home of this.#homes) home.dispatch({ type: 'worker-down', peerId: peerIdOf(machine) });
  }

  #outcome(): Outcome {
    const { mesh, boundMs, workload } = this.#scenario;
    for (const [task, times] of this.#built.entries())
      if (times > 1 && this.#scenario.faults.deaths.length === 0)
        throw new SimulatorError(
          'SIMULATOR_BROKEN',
          `${workload.tasks[task]!.name} was counted as built ${times} times.`,
        );
    const wallMs = Math.max(0, ...this.#homes.map((home) => home.finishedAt!));
    const slots = mesh.machines.reduce((sum, machine) => sum + machine.slots, 0);
    const { spans } = this.#recorder;
    const sum = (of: (home: SimulatedHome) => number) =>
      this.#homes.reduce((total, home) => total + of(home), 0);
    return {
      wallMs,
      boundMs,
      built: this.#built.reduce((count, times) => count + (times > 0 ? 1 : 0), 0),
      spans,
      slotMs: slots * wallMs,
      busyMs: spans.reduce((total, span) => total + span.endMs - span.startMs, 0),
      racedMs: sum((home) => home.racedMs),
      races: sum((home) => home.races),
      bytes: this.#network.bytes,
      decisions: sum((home) => home.grants),
      decisionMs: sum((home) => home.stepMs),
      traceHash: this.#recorder.digest(),
    };
  }

  #stuck(): SimulatorError {
    const homes = this.#homes.map((home) => home.describe()).join('; ');
    return new SimulatorError(
      'SIMULATOR_STUCK',
      `No build ends any more after ${Math.round(this.#clock.now / 1000)} s: ${homes}.`,
    );
  }
}
