import type { DerivationNode, WorkerInfo } from '@mesh/schedule';
import type { JobEvent } from '@mesh/wire';
import { Job } from './job.ts';
import type { PlannedDerivation } from './planner.ts';
import type { GivenLease } from './timeline.ts';

export const drv = (name: string) => `/nix/store/${'0'.repeat(32)}-${name}.drv`;

export function planned(name: string, changes: Partial<DerivationNode> = {}): PlannedDerivation {
  const node: DerivationNode = {
    drvPath: drv(name),
    name,
    system: 'x86_64-linux',
    requiredFeatures: [],
    dependencies: [],
    place: 'anywhere',
    predictedMs: 2_000,
    outputs: [`/nix/store/${'1'.repeat(32)}-${name}`],
    ...changes,
  };
  return { node, inputs: [], method: 'build', bytes: new Uint8Array() } as unknown as PlannedDerivation;
}

export function machine(peerId: string, changes: Partial<WorkerInfo> = {}): WorkerInfo {
  const isHome = peerId === 'home';
  return { peerId, name: peerId, isHome, systems: ['x86_64-linux'], features: [], slots: 1, ...changes };
}

/** A job whose clock only `at` moves. */
export function jobAtHome(logs = false) {
  let nowMs = 0;
  const job = new Job({
    id: 'job-1',
    options: { local: false, keepGoing: false, dryRun: false, logs },
    home: 'home',
    nameOf: (peerId) => peerId,
    nowMs: () => nowMs,
    wallMs: () => 0,
  });
  const events: JobEvent[] = [];
  job.onEvent((event) => events.push(event));
  for (const peerId of ['home', 'h2', 'h3']) job.meet(machine(peerId));
  let leases = 0;
  return {
    job,
    events,
    types: () => events.map(({ type }) => type),
    at: (ms: number) => {
      nowMs = ms;
    },
    lease(peerId: string, name: string, changes: Partial<GivenLease> = {}): GivenLease {
      leases += 1;
      const lease: GivenLease = {
        lease: `l-${leases}`,
        attempt: leases,
        drvPath: drv(name),
        peerId,
        race: false,
        chained: false,
        cores: 1,
        expectedMs: 1_000,
        reason: `because of ${peerId}`,
        ...changes,
      };
      job.leases.leased(lease);
      return lease;
    },
    built(lease: GivenLease, buildMs: number) {
      const { drvPath, peerId } = lease;
      job.finished(drvPath, { outcome: 'built', peerId, lease: lease.lease, buildMs, fetched: [] });
    },
  };
}
