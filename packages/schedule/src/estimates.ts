import { CRUMB_MS, DEFAULT_LINK_BYTES_PER_MS, GIANT_CORES, REMOTE_LEASE_MS } from './constants.ts';
import { correctionOf } from './experience.ts';
import type { Derivation, HomeState, Lease, WorkerRecord } from './home-state.ts';
import { medianResidualMs } from './residual.ts';

/** Assumed where nothing is known of a name: predictions of such builds are off by a factor e. */
const UNKNOWN_SPREAD = 1;

/** How fast a worker builds for a system, as it says and as its builds for this home have shown. */
export function speedOn(state: HomeState, worker: WorkerRecord, system: string): number {
  return claimedSpeed(worker, system) * correctionOf(state, worker);
}

export function claimedSpeed({ info }: WorkerRecord, system: string): number {
  return Math.max(0.001, (info.speed ?? 1) * (info.emulated?.[system] ?? 1));
}

/** What a build takes on a machine of speed 1 with this many cores, if it keeps as many busy as such builds do. */
export function workMs(derivation: Derivation, cores: number): number {
  const busy = busyCores(derivation);
  return busy === undefined ? derivation.predictedMs : derivation.predictedMs * Math.max(1, busy / cores);
}

/** Cores such a build makes use of; undefined where nobody knows. */
export function busyCores({ node }: Derivation): number | undefined {
  const { history } = node;
  if (history?.busyCores !== undefined) return history.busyCores;
  return node.requiredFeatures.includes('big-parallel') ? GIANT_CORES : undefined;
}

export function spreadOf({ node }: Derivation): number {
  return node.history?.spread ?? UNKNOWN_SPREAD;
}

/** Known to be so short that moving its inputs is never worth it. */
export function isCrumb({ node, predictedMs }: Derivation): boolean {
  return predictedMs < CRUMB_MS && node.history !== undefined && node.history.basis !== 'cold';
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
