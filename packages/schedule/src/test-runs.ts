import type { FinishedDerivation } from './finished-run.ts';
import type { WorkerInfo } from './types.ts';

/** For tests: a machine that builds for `x86_64-linux`. The one called `home` is the home. */
export function machineOf(peerId: string, changes: Partial<WorkerInfo> = {}): WorkerInfo {
  return {
    peerId,
    name: peerId,
    isHome: peerId === 'home',
    systems: ['x86_64-linux'],
    features: [],
    slots: 1,
    ...changes,
  };
}

/** For tests: machines by peer id. */
export function fleetOf(...machines: WorkerInfo[]): Map<string, WorkerInfo> {
  return new Map(machines.map((machine) => [machine.peerId, machine]));
}

/** For tests: `name` was built on a machine from `startedMs` to `finishedMs`, given to it when it was ready, unless `changes` say else. */
export function builtOn(
  peerId: string,
  name: string,
  [startedMs, finishedMs]: readonly [number, number],
  changes: Partial<FinishedDerivation> & { leasedMs?: number; fetchedMs?: number } = {},
): FinishedDerivation {
  const { leasedMs = startedMs, fetchedMs = startedMs, ...rest } = changes;
  return {
    drvPath: name,
    dependencies: [],
    system: 'x86_64-linux',
    requiredFeatures: [],
    place: 'anywhere',
    addedMs: 0,
    finishedMs,
    outputBytes: 0,
    build: { peerId, leasedMs, fetchedMs, startedMs, durationMs: finishedMs - startedMs },
    attempts: [{ peerId, leasedMs, startedMs, endedMs: finishedMs, failed: false }],
    ...rest,
  };
}
