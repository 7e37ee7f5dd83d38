import * as v from 'valibot';
import { buildLimitsSchema } from './build-limits.ts';
import { defineProtocol } from './protocol.ts';

/**
 * The work protocol: one stream per (home, worker) pair, opened by the home when it first has work.
 * Home speaks `advertise`, `lease`, `revoke`, `cancel`; the worker `worker`, `steal`, `unsteal`, `fetched`, `started`, `heartbeat`, `log`,
 * `returned`, `result`. Every message names the lease and its attempt, so that a late or repeated one is harmless.
 */
const id = v.pipe(v.string(), v.minLength(1), v.maxLength(128));
const path = v.pipe(v.string(), v.maxLength(400));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const text = (max: number) => v.pipe(v.string(), v.maxLength(max));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));
const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array, 'not bytes');

/** Sources a worker names while it fetches; the result names all. */
export const MAX_TOLD_SOURCES = 64;

/** Messages of a lease: which one, and which attempt at its derivation. */
const lease = { lease: id, attempt: count };

/** An input path of a derivation and the members known to hold it, possibly none. */
export const inputSchema = v.object({
  path,
  holders: v.pipe(v.array(id), v.maxLength(64)),
  /** Nobody built it for this job: the worker's own substituters may have it as well, and be nearer. */
  upstream: v.optional(v.boolean()),
});
export type LeaseInput = v.InferOutput<typeof inputSchema>;

export const leaseMessageSchema = v.object({
  type: v.literal('lease'),
  ...lease,
  /** Derivations are the first kind of work; a worker returns kinds it does not know. */
  kind: v.string(),
  request: id,
  job: id,
  drvPath: path,
  /** The `.drv` as it stands in the home's store (ATerm). */
  derivation: bytes,
  inputs: v.pipe(v.array(inputSchema), v.maxLength(100_000)),
  /** How the worker gets its outputs: build it, or let Nix realise it (substitution, content-addressed outputs). */
  method: v.picklist(['build', 'realise']),
  ahead: v.boolean(),
  /** Cores the build may use (`cores` / NIX_BUILD_CORES), fewer where fewer are free; 0 leaves it to the worker. */
  cores: count,
  limits: v.optional(buildLimitsSchema),
  /** Memory it is expected to need; 0 where unknown. */
  memoryBytes: v.optional(amount, 0),
  /** Bytes its outputs are expected to take on disk; 0 where unknown. */
  outputBytes: v.optional(amount, 0),
  /** What the home expects it to take on this worker; 0 where unknown. */
  expectedMs: v.optional(amount, 0),
  /** Runs against another machine's lease of the same derivation. */
  race: v.optional(v.boolean(), false),
  /** A lease of the same chain: this one starts in its slot when it is built, its outputs being inputs of this one. */
  follows: v.optional(id),
  /** The lease ends this long after the last heartbeat. */
  leaseMs: v.pipe(v.number(), v.minValue(100)),
});
export type LeaseMessage = v.InferOutput<typeof leaseMessageSchema>;

export const homeMessageSchema = v.variant('type', [
  v.object({
    type: v.literal('advertise'),
    work: v.boolean(),
    /** Something is ready that this worker could start now. */
    hungry: v.optional(v.boolean(), true),
    /** The home's share against other homes. */
    weight: v.optional(v.pipe(v.number(), v.finite(), v.minValue(0.001), v.maxValue(1_000_000)), 1),
    sequence: v.optional(count),
  }),
  leaseMessageSchema,
  v.object({ type: v.literal('revoke'), ...lease }),
  v.object({ type: v.literal('cancel'), ...lease, reason: v.pipe(v.string(), v.maxLength(500)) }),
]);
export type HomeMessage = v.InferOutput<typeof homeMessageSchema>;

export const builtOutputSchema = v.object({
  name: v.pipe(v.string(), v.maxLength(211)),
  path,
  narBytes: count,
  /** `sha256:…` as Nix writes it. */
  narHash: v.optional(v.pipe(v.string(), v.maxLength(120))),
});
export type BuiltOutput = v.InferOutput<typeof builtOutputSchema>;

export const outcomeSchema = v.variant('type', [
  v.object({ type: v.literal('built'), outputs: v.pipe(v.array(builtOutputSchema), v.maxLength(1_000)) }),
  /** The build itself failed: final. */
  v.object({
    type: v.literal('failed'),
    message: v.pipe(v.string(), v.maxLength(16_384)),
  }),
  /** This machine could not do it: goes elsewhere. */
  v.object({
    type: v.literal('machine-failure'),
    message: v.pipe(v.string(), v.maxLength(4_096)),
    outOfMemory: v.optional(v.boolean()),
  }),
]);
export type LeaseOutcome = v.InferOutput<typeof outcomeSchema>;

export const workerMessageSchema = v.variant('type', [
  /** Who speaks: the first message on the stream, and again when it changes. */
  v.object({
    type: v.literal('worker'),
    name: v.pipe(v.string(), v.maxLength(200)),
    systems: v.pipe(v.array(v.pipe(v.string(), v.maxLength(64))), v.maxLength(64)),
    systemFeatures: v.pipe(v.array(v.pipe(v.string(), v.maxLength(128))), v.maxLength(256)),
    /** It builds only what requires all of these. */
    mandatoryFeatures: v.optional(v.pipe(v.array(text(128)), v.maxLength(256))),
    /** A result means that the outputs are in the home's store. */
    delivers: v.optional(v.boolean()),
    slots: count,
    cores: v.optional(count),
    /** Relative to an ordinary machine. */
    speed: v.optional(v.pipe(amount, v.maxValue(1_000))),
    /** Systems it only emulates, and how fast compared to a native build. */
    emulated: v.optional(v.record(text(64), v.pipe(amount, v.maxValue(1)))),
    tags: v.optional(v.pipe(v.array(text(64)), v.maxLength(64))),
    memoryBytes: v.optional(amount),
    freeMemoryBytes: v.optional(amount),
    freeDiskBytes: v.optional(amount),
    /** Why there are no slots for this home at the moment, as the end of "takes no builds now: …". */
    closed: v.optional(text(300)),
  }),
  v.object({ type: v.literal('steal'), request: id, ahead: v.boolean() }),
  v.object({ type: v.literal('unsteal'), request: id }),
  /**
   * What a lease has to bring in all; said again with what came so far, at most every half second. A home that does not know of
   * `done` takes that for the same said again.
   */
  v.object({
    type: v.literal('fetching'),
    ...lease,
    paths: count,
    bytes: count,
    done: v.optional(
      v.object({
        paths: count,
        bytes: count,
        bytesPerS: amount,
        /** Who gave most, and how much: peer ids, and `upstream` for the machine's own substituters. */
        sources: v.pipe(v.array(v.object({ peer: id, bytes: count })), v.maxLength(MAX_TOLD_SOURCES)),
      }),
    ),
  }),
  v.object({ type: v.literal('fetched'), ...lease, bytes: count }),
  /** `cores`: what the build was given. */
  v.object({ type: v.literal('started'), ...lease, cores: v.optional(count) }),
  v.object({
    type: v.literal('heartbeat'),
    leases: v.pipe(v.array(v.object(lease)), v.maxLength(10_000)),
  }),
  v.object({
    type: v.literal('log'),
    ...lease,
    lines: v.pipe(v.array(v.pipe(v.string(), v.maxLength(65_536))), v.maxLength(10_000)),
    phase: v.optional(v.pipe(v.string(), v.maxLength(200))),
  }),
  v.object({
    type: v.literal('returned'),
    ...lease,
    reason: v.picklist(['revoked', 'busy', 'machine']),
    detail: v.pipe(v.string(), v.maxLength(4_096)),
    /** Inputs that neither a member nor a substituter of this machine could give. */
    missing: v.optional(v.pipe(v.array(path), v.maxLength(10_000)), []),
  }),
  v.object({
    type: v.literal('result'),
    ...lease,
    outcome: outcomeSchema,
    /** What the build itself took, by the worker's clock. */
    buildMs: v.pipe(v.number(), v.minValue(0)),
    /** Processor time and memory of the build, where the worker could measure them. */
    cpuMs: v.optional(amount),
    memoryPeakBytes: v.optional(amount),
    /** Cores the build was given. */
    cores: v.optional(count),
    /** What this lease made the worker pull, by the peer it came from. */
    fetched: v.pipe(v.array(v.object({ peer: id, bytes: count })), v.maxLength(1_000)),
    /** How long that took. */
    fetchMs: v.optional(amount),
  }),
]);
export type WorkerMessage = v.InferOutput<typeof workerMessageSchema>;

/** The home calls, the worker is called. */
export const workProtocol = defineProtocol<HomeMessage, WorkerMessage>({
  id: '/mesh/work/1.0.0',
  // A `.drv` of some MiB with its inputs still fits; a larger one cannot leave home.
  maxFrameBytes: 16 * 1024 * 1024,
  dialerSchema: homeMessageSchema,
  listenerSchema: workerMessageSchema,
  // One is kept; a second may overlap while the first is given up.
  maxInboundStreams: 4,
});
