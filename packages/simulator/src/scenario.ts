import type { Faults } from './faults.ts';
import type { Mesh } from './machine.ts';
import type { Random } from './random.ts';
import type { Span } from './recorder.ts';
import type { Workload } from './workload.ts';

/** Everything a policy is tried on. */
export interface Scenario {
  readonly mesh: Mesh;
  readonly workload: Workload;
  readonly faults: Faults;
  readonly random: Random;
  /** No schedule can be shorter. */
  readonly boundMs: number;
  /** Standard deviation of the logarithm of believed over real speed and link. */
  readonly speedError: number;
  /** What machines say of their speeds, where that is not what they are; in the order of the machines. */
  readonly claimedSpeeds?: readonly number[];
  /** Builds that need more memory than is free die of it. */
  readonly limitMemory: boolean;
  /** Milliseconds between heartbeats. */
  readonly heartbeatMs: number;
}

/** How one policy did on one scenario. Times are virtual unless they say otherwise. */
export interface Outcome {
  readonly wallMs: number;
  readonly boundMs: number;
  /** Builds that counted, one per derivation. */
  readonly built: number;
  readonly spans: readonly Span[];
  /** All slots over all the time. */
  readonly slotMs: number;
  /** Slot time with a build in it. */
  readonly busyMs: number;
  /** Of it, what losers of races had spent. */
  readonly racedMs: number;
  readonly races: number;
  readonly bytes: number;
  /** Leases granted, and real milliseconds the homes' steps took for them and all else. */
  readonly decisions: number;
  readonly decisionMs: number;
  readonly traceHash: string;
}

export type Policy = (scenario: Scenario) => Outcome;
