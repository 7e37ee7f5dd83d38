import { DEFAULT_LINK_BYTES_PER_MS } from './constants.ts';
import { couldBuild, type FinishedDerivation, readyAt, speedFor, workOf } from './finished-run.ts';
import type { DrvPath, PeerId, WorkerInfo } from './types.ts';

/**
 * A slot that waits less than this has work on the way, and ends this close to each other count as one: messages, and clocks of two
 * machines.
 */
export const IDLE_TOLERANCE_MS = 250;

export interface HomeIdle {
  /** Derivations that would have ended sooner in a slot of the home that stood idle. */
  readonly count: number;
  /** How long those slots stood idle while they could have been at it. */
  readonly ms: number;
  readonly derivations: readonly DrvPath[];
}

/** An idle time of one slot. */
interface Span {
  fromMs: number;
  readonly toMs: number;
}

/**
 * Looks for the defect of remote-first scheduling: a derivation ran elsewhere, or waited for elsewhere, though a slot of the home was idle
 * before it started there and it would have ended sooner at home, fetching its inputs included. What a build took is known afterwards,
 * so that predictions play no part. `freeSlots` says how many slots of the home waited for work, at each change.
 */
export function homeIdle(job: {
  readonly wallMs: number;
  readonly freeSlots: readonly { readonly atMs: number; readonly free: number }[];
  readonly derivations: readonly FinishedDerivation[];
  readonly machines: ReadonlyMap<PeerId, WorkerInfo>;
}): HomeIdle {
  const home = [...job.machines.values()].find(({ isHome }) => isHome);
  const slots = idleSlots(job.freeSlots, job.wallMs);
  const found: DrvPath[] = [];
  let idleMs = 0;
  if (home === undefined || slots.length === 0) return { count: 0, ms: 0, derivations: [] };
  const all = new Map(job.derivations.map((derivation) => [derivation.drvPath, derivation]));
  const byReady = job.derivations
    .filter((derivation) => ranElsewhere(derivation, home))
    .map((derivation) => ({ derivation, readyMs: readyAt(derivation, all).ms }))
    .sort((a, b) => a.readyMs - b.readyMs);
  for (const { derivation, readyMs } of byReady) {
    const usable = firstUsable(slots, readyMs);
    if (usable === undefined || usable.fromMs > derivation.build!.startedMs) continue;
    const { span, fromMs } = usable;
    const takesMs =
      fetchMs(derivation, home, all) + workOf(derivation, job.machines) / speedFor(home, derivation.system);
    if (fromMs + takesMs + IDLE_TOLERANCE_MS >= derivation.finishedMs) continue;
    found.push(derivation.drvPath);
    idleMs += Math.min(span.toMs, derivation.finishedMs) - fromMs;
    // One slot would have taken one derivation at a time.
    span.fromMs = Math.min(span.toMs, fromMs + takesMs);
  }
  return { count: found.length, ms: idleMs, derivations: found };
}

function ranElsewhere(derivation: FinishedDerivation, home: WorkerInfo): boolean {
  const { build, attempts } = derivation;
  if (build === undefined || build.peerId === home.peerId || !couldBuild(home, derivation)) return false;
  // What the home tried and gave up, it could not build first.
  return attempts.every(({ peerId }) => peerId !== home.peerId);
}

/** Bringing home the inputs that were built elsewhere. */
function fetchMs(
  derivation: FinishedDerivation,
  home: WorkerInfo,
  all: ReadonlyMap<DrvPath, FinishedDerivation>,
): number {
  let bytes = 0;
  for (const path of derivation.dependencies) {
    const dependency = all.get(path);
    if (dependency?.build !== undefined && dependency.build.peerId !== home.peerId)
      bytes += dependency.outputBytes;
  }
  return bytes / DEFAULT_LINK_BYTES_PER_MS;
}

/**
 * Times in which slots stood idle long enough to count, by slot: the k-th slot is idle while at least k are.
 */
function idleSlots(series: readonly { atMs: number; free: number }[], endMs: number): Span[][] {
  const slots: Span[][] = [];
  const most = series.reduce((max, { free }) => Math.max(max, free), 0);
  for (let k = 1; k <= most; k++) {
    const spans: Span[] = [];
    let since: number | undefined;
    for (const { atMs, free } of [...series, { atMs: endMs, free: 0 }]) {
      if (free >= k) since ??= atMs;
      else if (since !== undefined) {
        if (atMs - since > IDLE_TOLERANCE_MS) spans.push({ fromMs: since, toMs: atMs });
        since = undefined;
      }
    }
    slots.push(spans);
  }
  return slots;
}

/** The first idle time after `fromMs` in any slot. */
function firstUsable(
  slots: readonly (readonly Span[])[],
  fromMs: number,
): { span: Span; fromMs: number } | undefined {
  let first: { span: Span; fromMs: number } | undefined;
  for (const spans of slots) {
    for (let i = firstEndingAfter(spans, fromMs + IDLE_TOLERANCE_MS); i < spans.length; i++) {
      const span = spans[i]!;
      const from = Math.max(span.fromMs, fromMs);
      if (span.toMs - from <= IDLE_TOLERANCE_MS) continue;
      if (first === undefined || from < first.fromMs) first = { span, fromMs: from };
      break;
    }
  }
  return first;
}

function firstEndingAfter(spans: readonly Span[], ms: number): number {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle]!.toMs <= ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
