import { stepHome } from './home.ts';
import type { HomeEffect, HomeEvent } from './home-protocol.ts';
import { type HomeState, initialHome } from './home-state.ts';
import type { BuildHistory, BuildTimings, DerivationNode, JobOptions, WorkerInfo } from './types.ts';

export type Event = HomeEvent extends infer E ? (E extends unknown ? Omit<E, 'now'> : never) : never;
export type Effect<T extends HomeEffect['type']> = Extract<HomeEffect, { type: T }>;

/** The home under test. */
export let home: HomeState;
/** Its clock, for tests to set. */
export const clock = { now: 0 };
let requests = 0;

/** A home that knows nothing yet, at time 0. */
export function newHome(): void {
  clock.now = 0;
  requests = 0;
  home = initialHome({ self: 'h', incarnation: 'h', maxAttempts: 3 });
}

/** What the home wants done after these. */
export function after(...events: Event[]): HomeEffect[] {
  return events.flatMap((event) => stepHome(home, { now: clock.now, ...event } as HomeEvent).effects);
}

export function of<T extends HomeEffect['type']>(type: T, effects: readonly HomeEffect[]): Effect<T>[] {
  return effects.filter((effect): effect is Effect<T> => effect.type === type);
}

/** `derivation <- worker` for each grant. */
export const grants = (effects: readonly HomeEffect[]) =>
  of('grant', effects).map((g) => `${g.drvPath} ${g.ahead ? '~' : '<-'} ${g.peerId}`);

export const node = (
  drvPath: string,
  dependencies: string[] = [],
  more: Partial<DerivationNode> = {},
): DerivationNode => ({
  drvPath,
  name: drvPath,
  system: 'x86_64-linux',
  requiredFeatures: [],
  dependencies,
  place: 'anywhere',
  predictedMs: 1_000,
  outputs: [],
  ...more,
});

/** What is remembered of a name that was built often and always took about as long. */
export const remembered = (more: Partial<BuildHistory> = {}): BuildHistory => ({
  basis: 'name',
  samples: 20,
  spread: 0.1,
  ...more,
});

/** A derivation whose name was built often: `predictedMs` on one core of an ordinary machine. */
export const known = (
  drvPath: string,
  predictedMs: number,
  dependencies: string[] = [],
  history: Partial<BuildHistory> = {},
): DerivationNode => node(drvPath, dependencies, { predictedMs, history: remembered(history) });

export const up = (peerId: string, more: Partial<WorkerInfo> = {}): Event => ({
  type: 'worker-up',
  worker: {
    peerId,
    name: peerId,
    isHome: peerId === 'h',
    systems: ['x86_64-linux'],
    features: [],
    slots: 1,
    ...more,
  },
});

export const job = (nodes: DerivationNode[], options: Partial<JobOptions> = {}, id = 'j'): Event[] => [
  { type: 'job-added', job: id, options: { keepGoing: false, ...options } },
  { type: 'derivations-added', job: id, derivations: nodes },
  { type: 'job-sealed', job: id },
];

export const steal = (peerId: string, ahead = false): Event => ({
  type: 'steal',
  peerId,
  request: `r${++requests}`,
  ahead,
});

/** The result a worker sends for the lease it has on a derivation. */
export function built(drvPath: string, narBytes = 1_000): Event {
  const { lease, attempt, peerId } = leaseOf(drvPath);
  const outputs = [{ name: 'out', path: `${drvPath}-out`, narBytes }];
  return { type: 'result', peerId, lease, attempt, outcome: { type: 'built', outputs } };
}

/** The same from one of several that build it, with the hash of what came out and the time it took. */
export function builtBy(
  peerId: string,
  drvPath: string,
  { narHash, timings }: { narHash?: string; timings?: BuildTimings } = {},
): Event {
  const lease = leasesOf(drvPath).find((each) => each.peerId === peerId);
  if (lease === undefined) throw new Error(`${drvPath} is not leased to ${peerId}`);
  const outputs = [{ name: 'out', path: `${drvPath}-out`, narBytes: 1_000, narHash }];
  return {
    type: 'result',
    peerId,
    lease: lease.lease,
    attempt: lease.attempt,
    outcome: { type: 'built', outputs, ...(timings === undefined ? {} : { timings }) },
  };
}

export function broken(drvPath: string, type: 'failed' | 'machine-failure'): Event {
  const { lease, attempt, peerId } = leaseOf(drvPath);
  return { type: 'result', peerId, lease, attempt, outcome: { type, message: 'because' } };
}

export function leasesOf(drvPath: string) {
  return home.graph.get(drvPath)?.leases ?? [];
}

export function leaseOf(drvPath: string) {
  const lease = home.graph.get(drvPath)?.leases.at(-1);
  if (lease === undefined) throw new Error(`${drvPath} is not leased`);
  return lease;
}

export function started(drvPath: string): Event {
  const { lease, attempt, peerId } = leaseOf(drvPath);
  return { type: 'started', peerId, lease, attempt };
}
