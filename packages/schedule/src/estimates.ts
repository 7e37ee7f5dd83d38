import {
  CRUMB_MS,
  DEFAULT_LINK_BYTES_PER_MS,
  GIANT_CORES,
  GIANT_PARALLEL_SHARE,
  REMOTE_LEASE_MS,
} from './constants.ts';
import { correctionOf } from './experience.ts';
import type { Derivation, HomeState, Lease, WorkerRecord } from './home-state.ts';
import { wallMsOn } from './prediction-cores.ts';
import { medianResidualMs } from './residual.ts';
import type { DerivationNode, WorkerInfo } from './types.ts';

/** Below this share of parallel work a second core is not worth having. */
const SERIAL_SHARE = 0.05;
const MOST_CORES = 1_024;
/** A build that keeps its core less busy than this waits for something else. */
const COMPUTING = 0.8;
/** Assumed where nothing is known of a name: predictions of such builds are off by a factor e. */
const UNKNOWN_SPREAD = 1;

/** How fast a worker builds for a system, as it says and as its builds for this home have shown. */
export function speedOn(state: HomeState, worker: WorkerRecord, system: string): number {
  return claimedSpeed(worker, system) * correctionOf(state, worker);
}

export function claimedSpeed({ info }: WorkerRecord, system: string): number {
  return Math.max(0.001, (info.speed ?? 1) * (info.emulated?.[system] ?? 1));
}

/** What a build takes on a machine of speed 1 with this many cores. */
export function workMs({ node }: Pick<Derivation, 'node'>, cores: number): number {
  const share = parallelShareOf(node);
  return share === 0 ? node.predictedMs : wallMsOn(node.predictedMs, share, cores);
}

/** What a build takes on a machine of speed 1 with as many cores as any machine has for it. */
export function shortestMs(state: HomeState, node: DerivationNode): number {
  return workMs({ node }, Math.min(usableCores({ node }) ?? 1, state.mostCores));
}

/** Builds a machine can have in progress at full speed: between its slots and, where builds use several, its cores. */
export function parallelismOf({ slots, cores }: WorkerInfo): number {
  return cores === undefined || cores <= slots ? slots : (slots + cores) / 2;
}

function parallelShareOf(node: DerivationNode): number {
  const known = node.history?.parallelShare;
  if (known !== undefined) return known;
  return node.requiredFeatures.includes('big-parallel') ? GIANT_PARALLEL_SHARE : 0;
}

/** Cores such a build makes good use of: with more, each would idle more than half of the time. Undefined where nobody knows. */
export function usableCores({ node }: Pick<Derivation, 'node'>): number | undefined {
  const { parallelShare, busyCores } = node.history ?? {};
  if (parallelShare !== undefined) {
    if (parallelShare < SERIAL_SHARE) return 1;
    return Math.min(MOST_CORES, Math.round((2 - parallelShare) / Math.max(1e-3, 1 - parallelShare)));
  }
  // Never seen with more than one core, it may still have kept that one waiting.
  if (busyCores !== undefined && busyCores < COMPUTING) return 1;
  return node.requiredFeatures.includes('big-parallel') ? GIANT_CORES : undefined;
}

export function spreadOf({ node }: Derivation): number {
  return node.history?.spread ?? UNKNOWN_SPREAD;
}

/** Known to be so short that moving its inputs is never worth it. */
export function isCrumb({ node }: Derivation): boolean {
  return node.predictedMs < CRUMB_MS && node.history !== undefined && node.history.basis !== 'cold';
}

/** Bytes of a derivation's inputs, among those built for this home's jobs, that the worker lacks. */
export function missingBytes(derivation: Derivation, worker: WorkerRecord): number {
  return derivation.localBytes - (derivation.local.get(worker.info.peerId) ?? 0);
}

/** Until a lease's inputs are at the worker. */
export function fetchMs(derivation: Derivation, worker: WorkerRecord): number {
  const { isHome, linkBytesPerMs } = worker.info;
  const bytes = missingBytes(derivation, worker);
  const overhead = isHome ? 0 : REMOTE_LEASE_MS;
  return overhead + bytes / (linkBytesPerMs ?? DEFAULT_LINK_BYTES_PER_MS);
}

/** When a lease is expected to free its slot, by the home's clock. */
export function endsAt(lease: Lease, now: number): number {
  if (lease.startedAt === undefined) return Math.max(now, lease.grantedAt + lease.fetchMs) + lease.expectedMs;
  const elapsed = now - lease.startedAt;
  return now + medianResidualMs(elapsed, lease.expectedMs, spreadOf(lease.derivation));
}
