import * as v from 'valibot';

/** The version of the job report's schema; it grows when a field changes its meaning or goes. */
export const REPORT_VERSION = 1;

const ms = v.pipe(v.number(), v.minValue(0));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** One lease of a derivation: who had it, when, how that ended. Times are milliseconds from the job's start. */
export const attemptReportSchema = v.object({
  peer: v.string(),
  attempt: count,
  /** It ran against another machine's lease of the same derivation. */
  race: v.boolean(),
  /** Cores its build was to use; 0 left it to the machine. */
  cores: count,
  /** What it was expected to take there. */
  expectedMs: ms,
  leasedMs: ms,
  fetchedMs: v.nullable(ms),
  startedMs: v.nullable(ms),
  endedMs: v.nullable(ms),
  /**
   * `won`: its result is the derivation's. `lost`: another machine was first. `failed`: the machine could not. `revoked`: given back or
   * taken back unbuilt. `cancelled`: with its job. Null while it goes on.
   */
  outcome: v.nullable(v.picklist(['won', 'lost', 'failed', 'revoked', 'cancelled'])),
  /** Why that machine got it. */
  why: v.string(),
  /** Why it ended as it did, where there is something to say. */
  detail: v.optional(v.string()),
});
export type AttemptReport = v.InferOutput<typeof attemptReportSchema>;

/** What became of one derivation of a job, on the machine that finished it. Times are milliseconds from the job's start. */
export const derivationReportSchema = v.object({
  drvPath: v.string(),
  name: v.string(),
  /** Name of the machine, or null where the derivation never reached one (skipped, cancelled, built for another job). */
  peer: v.nullable(v.string()),
  attempt: count,
  readyMs: v.nullable(ms),
  leasedMs: v.nullable(ms),
  fetchedMs: v.nullable(ms),
  startedMs: v.nullable(ms),
  finishedMs: v.nullable(ms),
  outcome: v.picklist(['built', 'failed', 'skipped', 'cancelled', 'valid']),
  /** Why it went where it went, one sentence with the numbers used. */
  why: v.string(),
  /** What was predicted last before a machine got it, on a machine of speed 1. */
  predictedMs: v.optional(ms),
  /** Whose times that came from: builds of the very name, of its family, or of anything at all. */
  predictedFrom: v.optional(v.picklist(['name', 'family', 'cold'])),
  /** Cores its build was to use; 0 left it to the machine. */
  cores: v.optional(count),
  /** What it was expected to take on that machine. */
  expectedMs: v.optional(ms),
  /** What the build took by that machine's own clock. */
  buildMs: v.optional(ms),
  /** Only where two machines raced for it: whether the second was first, and what the loser had spent. */
  race: v.optional(v.object({ won: v.boolean(), wastedMs: ms })),
  /** Every lease of it, oldest first; absent where the one described here was the only one. */
  attempts: v.optional(v.array(attemptReportSchema)),
});
export type DerivationReport = v.InferOutput<typeof derivationReportSchema>;

/** What one machine did for a job. */
export const peerReportSchema = v.object({
  name: v.string(),
  builds: count,
  busyMs: ms,
  bytesIn: count,
  bytesOut: count,
  /** What it gave to builds, and how fast it was taken to be; absent where it left before it said so. */
  slots: v.optional(count),
  cores: v.optional(count),
  speed: v.optional(ms),
  /** Slot time in which it built nothing of this job. */
  idleMs: v.optional(ms),
});
export type PeerReport = v.InferOutput<typeof peerReportSchema>;

/**
 * What time beyond the lower bound went to. `planning`: evaluating and reading derivations. `slots`: every machine able to was busy.
 * `held`: one was free, but not given it. `slower-machine`: it ran on a slower machine than the fastest. `transfer`: inputs moved.
 * `overhead`: messages, roots, starting. `retry`: a machine failed. `other-jobs`: another job built it. `result`: the result came home.
 */
export const LOSS_CAUSES = [
  'planning',
  'slots',
  'held',
  'slower-machine',
  'transfer',
  'overhead',
  'retry',
  'other-jobs',
  'result',
] as const;
export const lossSchema = v.object({ cause: v.picklist(LOSS_CAUSES), ms });
export type Loss = v.InferOutput<typeof lossSchema>;

const hashAt = v.object({ peer: v.string(), narHash: v.string() });
/** Two machines gave different bytes for one output. */
export const differingSchema = v.object({
  drvPath: v.string(),
  name: v.string(),
  output: v.string(),
  /** The one in use. */
  first: hashAt,
  second: hashAt,
});
export type Differing = v.InferOutput<typeof differingSchema>;

/** The job report: what `mesh build --report FILE` writes. Documented in docs/report.md. */
export const jobReportSchema = v.object({
  version: v.literal(REPORT_VERSION),
  job: v.string(),
  ok: v.boolean(),
  /** RFC 3339 time of the job's start. */
  startedAt: v.string(),
  wallMs: ms,
  /** No schedule on these machines, with their speeds as learned, could have been faster. */
  lowerBoundMs: ms,
  criticalPath: v.array(v.string()),
  bytesFetched: count,
  peers: v.array(peerReportSchema),
  derivations: v.array(derivationReportSchema),
  /** What the lower bound comes from: the longest chain of builds, or all work over all slots. */
  boundBy: v.optional(v.picklist(['critical-path', 'machines'])),
  /** What made `wallMs` larger than `lowerBoundMs`, the largest first; the sum is the difference. */
  losses: v.optional(v.array(lossSchema)),
  /** The derivations that decided when the job ended, first to last: each waited for the one before. */
  chain: v.optional(v.array(v.string())),
  races: v.optional(
    v.object({
      count,
      /** Won by the second runner. */
      won: count,
      wastedMs: ms,
      /** Of all slot time of the machines of this job, 0 to 1. */
      wastedShare: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
    }),
  ),
  differing: v.optional(v.array(differingSchema)),
  /** What one more machine like each of these would have saved; absent while the job runs, and for very large jobs. */
  whatIf: v.optional(v.array(v.object({ like: v.string(), wallMs: ms, savedMs: ms }))),
  /** Times that a slot of the home was idle while a derivation was ready that would have ended there first. */
  homeIdle: v.optional(v.object({ count, ms })),
});
export type JobReport = v.InferOutput<typeof jobReportSchema>;
