import * as v from 'valibot';

/** The version of the job report's schema; it grows when a field changes its meaning or goes. */
export const REPORT_VERSION = 1;

const ms = v.pipe(v.number(), v.minValue(0));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

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
});
export type DerivationReport = v.InferOutput<typeof derivationReportSchema>;

/** What one machine did for a job. */
export const peerReportSchema = v.object({
  name: v.string(),
  builds: count,
  busyMs: ms,
  bytesIn: count,
  bytesOut: count,
});
export type PeerReport = v.InferOutput<typeof peerReportSchema>;

/** The job report: what `mesh build --report FILE` writes. Documented in docs/report.md. */
export const jobReportSchema = v.object({
  version: v.literal(REPORT_VERSION),
  job: v.string(),
  ok: v.boolean(),
  /** RFC 3339 time of the job's start. */
  startedAt: v.string(),
  wallMs: ms,
  /** No schedule on these machines could have been faster: max(critical path, total work / slots). */
  lowerBoundMs: ms,
  criticalPath: v.array(v.string()),
  bytesFetched: count,
  peers: v.array(peerReportSchema),
  derivations: v.array(derivationReportSchema),
});
export type JobReport = v.InferOutput<typeof jobReportSchema>;
