import { DEATH_NOTICED_MS } from './constants.ts';
import { SimulatorError } from './errors.ts';
import { Network } from './network.ts';
import { type NixCosts, NixSubmitter } from './nix-submitter.ts';
import type { Random } from './random.ts';
import { Recorder } from './recorder.ts';
import type { Outcome, Policy, Scenario } from './scenario.ts';
import { SimulatedBuilds } from './simulated-builds.ts';
import { VirtualClock } from './virtual-clock.ts';

/**
 * Nix's own distributed building as it comes: an SSH connection for every derivation, a poll every 5 s, and speed factors nobody
 * has set. Costs fitted to measurements of Nix 2.34 on three hosts of two slots (`nix-policy.test.ts` has them).
 */
export const STOCK_NIX: NixCosts = {
  dispatchMs: 220,
  askMs: 2,
  remoteMs: 155,
  pollMs: 5_000,
  speedFactors: false,
};

/** The same as one tunes it: connections that are kept, a poll every second, the right speed factors. */
export const TUNED_NIX: NixCosts = {
  dispatchMs: 80,
  askMs: 2,
  remoteMs: 20,
  pollMs: 1_000,
  speedFactors: true,
};

export const nixPolicy: Policy = (scenario) => play(scenario, STOCK_NIX);
export const tunedNixPolicy: Policy = (scenario) => play(scenario, TUNED_NIX);

/** @throws {SimulatorError} SIMULATOR_STUCK */
export function play(scenario: Scenario, costs: NixCosts): Outcome {
  const { mesh, workload, faults, boundMs, limitMemory, random } = scenario;
  const clock = new VirtualClock();
  const recorder = new Recorder();
  const network = new Network(clock, mesh.machines);
  const builds = mesh.machines.map(
    (machine, index) => new SimulatedBuilds(index, machine, { clock, recorder, limitMemory }),
  );
  const { tasks } = workload;
  const machinesFile = shuffled([...mesh.machines.keys()], random.split('machines file'));
  const components = { clock, network, builds, mesh, machinesFile, tasks, costs, faults };
  const submitters = workload.jobs.map((job) => new NixSubmitter(job, components));
  for (const submitter of submitters) submitter.start();
  for (const { machine, atMs, backAtMs } of faults.deaths) {
    clock.at(atMs, () => {
      network.die(machine);
      builds[machine]!.die();
      clock.after(DEATH_NOTICED_MS, () => {
        for (const submitter of submitters) submitter.machineDied(machine);
      });
    });
    clock.at(backAtMs, () => network.revive(machine));
  }
  for (const { atMs, byMs } of faults.jumps) clock.at(atMs, () => clock.jump(byMs));
  for (const { machine, fromMs, toMs } of faults.visits) {
    clock.at(fromMs, () => builds[machine]!.userPresent(true));
    clock.at(toMs, () => builds[machine]!.userPresent(false));
  }
  while (submitters.some((submitter) => submitter.finishedAt === undefined)) {
    if (!clock.step())
      throw new SimulatorError('SIMULATOR_STUCK', 'Nothing moves any more and Nix is not done.');
  }
  const wallMs = Math.max(0, ...submitters.map((submitter) => submitter.finishedAt!));
  const slots = mesh.machines.reduce((sum, machine) => sum + machine.slots, 0);
  const { spans } = recorder;
  return {
    wallMs,
    boundMs,
    built: submitters.reduce((sum, submitter) => sum + submitter.built, 0),
    spans,
    slotMs: slots * wallMs,
    busyMs: spans.reduce((sum, span) => sum + span.endMs - span.startMs, 0),
    racedMs: 0,
    races: 0,
    bytes: network.bytes,
    decisions: 0,
    decisionMs: 0,
    traceHash: recorder.digest(),
  };
}

/** Machines files are in no particular order, and the first of equals gets the work. */
function shuffled(list: number[], random: Random): number[] {
  for (let i = list.length - 1; i > 0; i--) {
    const other = random.integer(i + 1);
    [list[i], list[other]] = [list[other]!, list[i]!];
  }
  return list;
}
