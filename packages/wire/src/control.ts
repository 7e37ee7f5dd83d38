import * as v from 'valibot';
import { buildLimitsSchema } from './build-limits.ts';
import { cacheRequestSchemas, cacheResultSchemas, fetchProgressSchema } from './cache-control.ts';
import { jobEventSchema } from './job-event.ts';
import { loadSchema } from './node-record.ts';
import { MAX_PRIORITY, MIN_PRIORITY } from './priority.ts';
import { attemptReportSchema, jobReportSchema } from './report.ts';

/**
 * The local API: what the `mesh` command and the agent say to each other over a Unix socket.
 *
 * One JSON object a line, UTF-8. A connection carries one request: the client's first line is a `ControlRequest`; the agent
 * answers with any number of `event`, `log` or `progress` lines and exactly one `result` or `error` line, then closes. A `build` request is followed
 * by the client's `BuildInput` lines. A client that closes its connection cancels what it asked for.
 */
export const CONTROL_VERSION = 1;

/** A longer line is refused: the longest honest one is a job report of a large graph. */
export const MAX_CONTROL_LINE_BYTES = 64 * 1024 * 1024;

/**
 * Choices of machines, one of which is enough: `NAME`, `home`, `system=…`, `feature=…`, `tag=…`, `cores>=16`, `memory>=32G`, `speed>=1.5`,
 * or several of these joined by `+`.
 */
const selectors = v.pipe(v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(200))), v.maxLength(64));

/** What a build may be told. */
export const buildOptionsSchema = v.object({
  /** The only machines that may build. */
  on: v.optional(selectors),
  /** Machines that may not build. */
  not: v.optional(selectors),
  /** Machines that should build where they finish about as soon as others. */
  prefer: v.optional(selectors),
  /** Build on this machine alone. */
  local: v.optional(v.boolean(), false),
  /** Weight against other jobs. */
  priority: v.optional(v.pipe(v.number(), v.minValue(MIN_PRIORITY), v.maxValue(MAX_PRIORITY))),
  keepGoing: v.optional(v.boolean(), false),
  dryRun: v.optional(v.boolean(), false),
  limits: v.optional(buildLimitsSchema),
  /** Stream log lines of every build as events (`-L`); the tail of a failed one comes in any case. */
  logs: v.optional(v.boolean(), false),
});
export type BuildOptions = v.InferOutput<typeof buildOptionsSchema>;

export const controlRequestSchema = v.intersect([
  v.object({ version: v.number() }),
  v.variant('method', [
    v.object({ method: v.literal('status') }),
    v.object({ method: v.literal('peers') }),
    /** What `mesh doctor` cannot find out by itself. */
    v.object({ method: v.literal('doctor') }),
    v.object({
      method: v.literal('invite'),
      ttlMs: v.pipe(v.number(), v.minValue(1), v.maxValue(7 * 24 * 3600_000)),
      roles: v.array(v.picklist(['build', 'submit', 'admin'])),
    }),
    v.object({
      method: v.literal('join'),
      ticket: v.pipe(v.string(), v.maxLength(16_384)),
      /** Leave a mesh with other members for it. */
      force: v.optional(v.boolean(), false),
    }),
    v.object({ method: v.literal('remove'), peer: v.string() }),
    /** Take no work of others until `resume`, or for `forMs`. */
    v.object({
      method: v.literal('pause'),
      forMs: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(366 * 24 * 3600_000))),
      reason: v.optional(v.pipe(v.string(), v.maxLength(100))),
    }),
    v.object({ method: v.literal('resume') }),
    v.object({ method: v.literal('build'), options: buildOptionsSchema }),
    v.object({ method: v.literal('jobs') }),
    v.object({ method: v.literal('report'), job: v.optional(v.string()) }),
    /** Where a derivation of a job is, was or waits to be built, and why: by drv path or name, in the newest job that has it. */
    v.object({
      method: v.literal('why'),
      target: v.pipe(v.string(), v.minLength(1), v.maxLength(500)),
      job: v.optional(v.string()),
    }),
    /** The log of a derivation this agent's jobs built: by drv path, or by name (the newest). */
    v.object({ method: v.literal('log'), target: v.string(), follow: v.boolean() }),
    ...cacheRequestSchemas,
  ]),
]);
export type ControlRequest = v.InferOutput<typeof controlRequestSchema>;

/** What follows a `build` request: derivations as evaluation finds them, then `evaluated`. */
export const buildInputSchema = v.variant('type', [
  v.object({
    type: v.literal('derivation'),
    drvPath: v.string(),
    /** Names of the outputs wanted; empty means all. */
    outputs: v.array(v.string()),
  }),
  v.object({ type: v.literal('evaluated') }),
]);
export type BuildInput = v.InferOutput<typeof buildInputSchema>;

/** A member as `mesh peers --json` prints it. */
export const peerViewSchema = v.object({
  name: v.string(),
  peerId: v.string(),
  self: v.boolean(),
  connected: v.boolean(),
  roles: v.array(v.string()),
  addresses: v.array(v.string()),
  systems: v.array(v.string()),
  systemFeatures: v.array(v.string()),
  cores: v.nullable(v.number()),
  slots: v.nullable(v.number()),
  memoryBytes: v.nullable(v.number()),
  load: v.nullable(loadSchema),
  nixVersion: v.nullable(v.string()),
  agentVersion: v.nullable(v.string()),
  /** Relative to an ordinary machine. */
  speed: v.optional(v.number()),
  tags: v.optional(v.array(v.string())),
  /** Systems it only emulates, and how fast compared to a native build. */
  emulated: v.optional(v.record(v.string(), v.number())),
  /** Why it takes nobody else's work at the moment. */
  closed: v.optional(v.string()),
  /** Why it is not connected: what the last attempt to reach it from here ran into. */
  fault: v.optional(v.string()),
  /** RFC 3339, or null where this agent never saw it. */
  lastSeen: v.nullable(v.string()),
});
export type PeerView = v.InferOutput<typeof peerViewSchema>;

/** A machine of Nix's `builders` without an agent, as `mesh peers --json` prints it. */
export const builderViewSchema = v.object({
  name: v.string(),
  /** What reports call it where they give peer ids. */
  peerId: v.string(),
  uri: v.string(),
  /** File and line. */
  place: v.string(),
  /** `idle`: not needed so far; `resting`: left alone after a failure. */
  state: v.picklist(['idle', 'connecting', 'up', 'resting']),
  systems: v.array(v.string()),
  systemFeatures: v.array(v.string()),
  mandatoryFeatures: v.array(v.string()),
  slots: v.number(),
  running: v.number(),
  speed: v.number(),
  nixVersion: v.nullable(v.string()),
  /** What went wrong last, in a sentence. */
  trouble: v.optional(v.string()),
  retryInMs: v.optional(v.number()),
});
export type BuilderView = v.InferOutput<typeof builderViewSchema>;

export const strangerViewSchema = v.object({
  peerId: v.string(),
  addresses: v.array(v.string()),
  lastSeen: v.string(),
});
export type StrangerView = v.InferOutput<typeof strangerViewSchema>;

export const jobViewSchema = v.object({
  job: v.string(),
  state: v.picklist(['running', 'built', 'failed', 'cancelled']),
  /** Who asked for it, where that is not this machine's own user. */
  submitter: v.optional(v.string()),
  startedAt: v.string(),
  wallMs: v.number(),
  wanted: v.array(v.string()),
  total: v.number(),
  built: v.number(),
  failed: v.number(),
  running: v.array(v.object({ drvPath: v.string(), name: v.string(), peer: v.string() })),
  /** Inputs on their way to machines. */
  fetching: v.optional(
    v.array(
      v.object({ drvPath: v.string(), name: v.string(), peer: v.string(), ...fetchProgressSchema.entries }),
    ),
  ),
  /** The result on its way home. */
  resultFetch: v.optional(fetchProgressSchema),
  /** NAR bytes that came for this job so far, to all machines, and how fast they come now. */
  fetchedBytes: v.optional(v.number()),
  bytesPerS: v.optional(v.number()),
});
export type JobView = v.InferOutput<typeof jobViewSchema>;

/** One derivation as `mesh why` explains it. Times are milliseconds from the job's start. */
export const whyViewSchema = v.object({
  drvPath: v.string(),
  name: v.string(),
  state: v.picklist([
    'waiting',
    'ready',
    'leased',
    'building',
    'built',
    'failed',
    'skipped',
    'cancelled',
    'valid',
  ]),
  /** Where it is or was, or what it waits for. */
  sentence: v.string(),
  readyMs: v.nullable(v.number()),
  finishedMs: v.nullable(v.number()),
  predictedMs: v.number(),
  predictedFrom: v.nullable(v.picklist(['name', 'family', 'cold'])),
  /** Dependencies not built yet: the first few of them, and how many there are. */
  waitsFor: v.array(v.object({ drvPath: v.string(), name: v.string(), state: v.string() })),
  waitsForCount: v.number(),
  attempts: v.array(attemptReportSchema),
});
export type WhyView = v.InferOutput<typeof whyViewSchema>;

/** Shape of `result.value`, by method. */
export const controlResultSchemas = {
  status: v.object({
    name: v.string(),
    peerId: v.string(),
    meshId: v.string(),
    version: v.string(),
    nixVersion: v.nullable(v.string()),
    addresses: v.array(v.string()),
    /** The SSH front door, where it is open: its TCP port and `ssh-ed25519 AAAA…`. */
    frontDoor: v.optional(v.object({ port: v.number(), hostKey: v.string() })),
    /** Why this machine takes no work of others at the moment. */
    closed: v.optional(v.string()),
    /** What is wrong with machines without an agent, or with the lines that name them. */
    builderTroubles: v.optional(v.array(v.string())),
  }),
  peers: v.object({
    meshId: v.string(),
    members: v.array(peerViewSchema),
    strangers: v.array(strangerViewSchema),
    /** Machines without an agent, and lines of machines files that are wrong. */
    builders: v.optional(v.array(builderViewSchema)),
    builderTroubles: v.optional(v.array(v.string())),
  }),
  doctor: v.object({
    /** How nix-daemon takes the agent's user. */
    trust: v.picklist(['trusted', 'untrusted', 'unknown']),
    /** Whether it looks for others by multicast DNS. */
    mdns: v.boolean(),
    /** How far the clocks of connected members are ahead of this machine's. */
    clocks: v.array(v.object({ name: v.string(), aheadMs: v.number() })),
  }),
  invite: v.object({ ticket: v.string(), expiresAt: v.string() }),
  join: v.object({ meshId: v.string(), inviter: v.string() }),
  remove: v.object({ peerId: v.string(), name: v.string() }),
  /** RFC 3339; null until it is resumed. */
  pause: v.object({ until: v.nullable(v.string()) }),
  /** Whether it was paused; and why it takes no work of others all the same. */
  resume: v.object({ wasPaused: v.boolean(), closed: v.optional(v.string()) }),
  build: v.object({ job: v.string() }),
  jobs: v.object({ jobs: v.array(jobViewSchema) }),
  report: jobReportSchema,
  why: v.object({
    job: v.string(),
    state: jobViewSchema.entries.state,
    wallMs: v.number(),
    derivations: v.array(whyViewSchema),
    /** Others that the name fits too, not listed. */
    more: v.number(),
  }),
  log: v.object({ drvPath: v.string() }),
  ...cacheResultSchemas,
} as const;
export type ControlMethod = keyof typeof controlResultSchemas;
export type ControlResult<M extends ControlMethod> = v.InferOutput<(typeof controlResultSchemas)[M]>;

/** A line from the agent. `event.event` is a job event (`build`) or a piece of log (`log`). */
export const controlResponseSchema = v.variant('type', [
  v.object({ type: v.literal('event'), event: jobEventSchema }),
  v.object({ type: v.literal('log'), text: v.string() }),
  /** How far a `cache-warm` is. */
  v.object({ type: v.literal('progress'), progress: fetchProgressSchema }),
  v.object({ type: v.literal('result'), value: v.unknown() }),
  v.object({
    type: v.literal('error'),
    /** Stable, for programs. */
    code: v.string(),
    /** One sentence: what happened and what to do. */
    message: v.string(),
    exitCode: v.number(),
  }),
]);
export type ControlResponse = v.InferOutput<typeof controlResponseSchema>;

/** Names of the two sockets in the agent's socket directory: who may open the file may ask. */
export const USER_SOCKET = 'agent.sock';
/** Only the agent's own user: invite, join, remove. */
export const ADMIN_SOCKET = 'admin.sock';
/** Methods that the user socket refuses. */
export const ADMIN_METHODS: readonly ControlMethod[] = ['invite', 'join', 'remove', 'pause', 'resume'];
