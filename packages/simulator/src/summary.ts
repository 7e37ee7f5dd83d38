import type { Outcome } from './scenario.ts';

/** What several runs of one policy on one graph and mesh came to. Ratios are wall time over bound. */
export interface Summary {
  readonly graph: string;
  readonly mesh: string;
  readonly policy: string;
  readonly history: string;
  readonly runs: number;
  readonly meanRatio: number;
  readonly worstRatio: number;
  readonly bestRatio: number;
  readonly meanWallMs: number;
  readonly meanBoundMs: number;
  /** What losers of races had spent, in percent of all slot time, and of the slot time with a build in it. */
  readonly wastePercent: number;
  readonly wasteOfBusyPercent: number;
  readonly idlePercent: number;
  readonly races: number;
  readonly gigabytesMoved: number;
  /** Leases granted per real second of the homes' own time; absent where the policy is not the mesh's. */
  readonly decisionsPerSecond: number | undefined;
  readonly realSeconds: number;
  /** Of the first seed's run. */
  readonly traceHash: string;
}

export function summarise(
  labels: Pick<Summary, 'graph' | 'mesh' | 'policy' | 'history' | 'realSeconds'>,
  outcomes: readonly Omit<Outcome, 'spans'>[],
): Summary {
  const ratios = outcomes.map(({ wallMs, boundMs }) => (boundMs > 0 ? wallMs / boundMs : 1));
  const total = (of: (outcome: Omit<Outcome, 'spans'>) => number) =>
    outcomes.reduce((sum, each) => sum + of(each), 0);
  const slotMs = total((each) => each.slotMs);
  const busyMs = total((each) => each.busyMs);
  const racedMs = total((each) => each.racedMs);
  const decisionMs = total((each) => each.decisionMs);
  return {
    ...labels,
    runs: outcomes.length,
    meanRatio: ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length,
    worstRatio: Math.max(...ratios),
    bestRatio: Math.min(...ratios),
    meanWallMs: total((each) => each.wallMs) / outcomes.length,
    meanBoundMs: total((each) => each.boundMs) / outcomes.length,
    wastePercent: slotMs > 0 ? (100 * racedMs) / slotMs : 0,
    wasteOfBusyPercent: busyMs > 0 ? (100 * racedMs) / busyMs : 0,
    idlePercent: slotMs > 0 ? 100 * (1 - busyMs / slotMs) : 0,
    races: total((each) => each.races) / outcomes.length,
    gigabytesMoved: total((each) => each.bytes) / outcomes.length / 1e9,
    decisionsPerSecond: decisionMs > 0 ? (1_000 * total((each) => each.decisions)) / decisionMs : undefined,
    traceHash: outcomes[0]?.traceHash ?? '',
  };
}
