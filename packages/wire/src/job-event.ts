import * as v from 'valibot';
import { fetchProgressSchema } from './cache-control.ts';
import { jobReportSchema } from './report.ts';

/**
 * What happens to a job, as the home tells it: the one stream that the terminal, `--json` and the page all show.
 * `atMs` counts from the job's start.
 */
const at = { atMs: v.number() };
const about = { ...at, drvPath: v.string(), name: v.string() };

export const jobEventSchema = v.variant('type', [
  v.object({ type: v.literal('job-started'), ...at, job: v.string(), home: v.string() }),
  /** The plan so far; it grows while evaluation streams. */
  v.object({
    type: v.literal('planned'),
    ...at,
    toBuild: v.number(),
    toFetch: v.number(),
    valid: v.number(),
    /** Only on a dry run: what would be built, by name. */
    derivations: v.optional(v.array(v.object({ drvPath: v.string(), name: v.string() }))),
  }),
  v.object({
    type: v.literal('leased'),
    ...about,
    peer: v.string(),
    attempt: v.number(),
    why: v.string(),
    /** Another machine builds it already. */
    race: v.optional(v.boolean()),
  }),
  /** A machine that would idle builds what another builds already; the first result counts. Follows its `leased`. */
  v.object({
    type: v.literal('race'),
    ...about,
    peer: v.string(),
    against: v.string(),
    /** What it is expected to take there. */
    expectedMs: v.number(),
  }),
  v.object({
    type: v.literal('race-finished'),
    ...about,
    winner: v.string(),
    loser: v.string(),
    /** The second runner was first. */
    raceWon: v.boolean(),
    wastedMs: v.number(),
  }),
  /** Two machines gave different bytes for one output: the first is the one in use. */
  v.object({
    type: v.literal('outputs-differ'),
    ...about,
    output: v.string(),
    first: v.object({ peer: v.string(), narHash: v.string() }),
    second: v.object({ peer: v.string(), narHash: v.string() }),
  }),
  v.object({ type: v.literal('fetching'), ...about, peer: v.string(), paths: v.number(), bytes: v.number() }),
  /** How far that is, about twice a second while something comes. */
  v.object({ type: v.literal('fetch-progress'), ...about, peer: v.string(), ...fetchProgressSchema.entries }),
  v.object({ type: v.literal('started'), ...about, peer: v.string() }),
  v.object({ type: v.literal('log'), ...about, lines: v.array(v.string()) }),
  v.object({ type: v.literal('phase'), ...about, phase: v.string(), peer: v.optional(v.string()) }),
  v.object({
    type: v.literal('finished'),
    ...about,
    peer: v.nullable(v.string()),
    outcome: v.picklist(['built', 'failed', 'skipped', 'cancelled', 'valid']),
    durationMs: v.number(),
    message: v.optional(v.string()),
    /** The end of the log of a failed build, at most 25 lines. */
    logTail: v.optional(v.array(v.string())),
  }),
  /** A machine could not finish it; it goes elsewhere. */
  v.object({ type: v.literal('requeued'), ...about, peer: v.string(), reason: v.string() }),
  /** A machine has it no more, unbuilt, through no fault of its own. */
  v.object({ type: v.literal('returned'), ...about, peer: v.string(), reason: v.string() }),
  v.object({ type: v.literal('peer'), ...at, peer: v.string(), state: v.picklist(['up', 'down']) }),
  /** The wanted closure coming home; said again as it comes. */
  v.object({
    type: v.literal('result-fetch'),
    ...at,
    paths: v.number(),
    bytes: v.number(),
    done: v.boolean(),
    progress: v.optional(fetchProgressSchema),
  }),
  v.object({ type: v.literal('note'), ...at, level: v.picklist(['info', 'warn']), message: v.string() }),
  v.object({
    type: v.literal('job-finished'),
    ...at,
    job: v.string(),
    ok: v.boolean(),
    cancelled: v.boolean(),
    /** The wanted outputs that exist at home now. */
    outputs: v.array(v.object({ drvPath: v.string(), outputs: v.record(v.string(), v.string()) })),
    failed: v.array(v.string()),
    /** No build failed: what is in `failed` no machine could build, or every machine failed at it, or its graph is wrong. */
    noMachine: v.optional(v.boolean()),
    report: jobReportSchema,
  }),
]);
export type JobEvent = v.InferOutput<typeof jobEventSchema>;
