import * as v from 'valibot';
import { defineProtocol } from './protocol.ts';

/**
 * The work protocol: one stream per (home, worker) pair, opened by the home when it first has work.
 * Home speaks `advertise`, `lease`, `revoke`, `cancel`; the worker `worker`, `steal`, `unsteal`, `fetched`, `started`, `heartbeat`, `log`,
 * `returned`, `result`. Every message names the lease and its attempt, so that a late or repeated one is harmless.
 */
const id = v.pipe(v.string(), v.minLength(1), v.maxLength(128));
const path = v.pipe(v.string(), v.maxLength(400));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array, 'not bytes');

/** Messages of a lease: which one, and which attempt at its derivation. */
const lease = { lease: id, attempt: count };

/** An input path of a derivation and the members known to hold it. */
export const inputSchema = v.object({ path, holders: v.pipe(v.array(id), v.maxLength(64)) });
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
  /** Cores for the build (`cores` / NIX_BUILD_CORES); 0 means the worker's own setting. */
  cores: count,
  /** The lease ends this long after the last heartbeat. */
  leaseMs: v.pipe(v.number(), v.minValue(100)),
});
export type LeaseMessage = v.InferOutput<typeof leaseMessageSchema>;

export const homeMessageSchema = v.variant('type', [
  v.object({ type: v.literal('advertise'), work: v.boolean() }),
  leaseMessageSchema,
  v.object({ type: v.literal('revoke'), ...lease }),
  v.object({ type: v.literal('cancel'), ...lease, reason: v.pipe(v.string(), v.maxLength(500)) }),
]);
export type HomeMessage = v.InferOutput<typeof homeMessageSchema>;

export const builtOutputSchema = v.object({
  name: v.pipe(v.string(), v.maxLength(211)),
  path,
  narBytes: count,
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
  v.object({ type: v.literal('machine-failure'), message: v.pipe(v.string(), v.maxLength(4_096)) }),
]);
export type LeaseOutcome = v.InferOutput<typeof outcomeSchema>;

export const workerMessageSchema = v.variant('type', [
  /** Who speaks: the first message on the stream, and again when it changes. */
  v.object({
    type: v.literal('worker'),
    name: v.pipe(v.string(), v.maxLength(200)),
    systems: v.pipe(v.array(v.pipe(v.string(), v.maxLength(64))), v.maxLength(64)),
    systemFeatures: v.pipe(v.array(v.pipe(v.string(), v.maxLength(128))), v.maxLength(256)),
    slots: count,
  }),
  v.object({ type: v.literal('steal'), request: id, ahead: v.boolean() }),
  v.object({ type: v.literal('unsteal'), request: id }),
  v.object({ type: v.literal('fetching'), ...lease, paths: count, bytes: count }),
  v.object({ type: v.literal('fetched'), ...lease, bytes: count }),
  v.object({ type: v.literal('started'), ...lease }),
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
    /** Inputs that no member could give. */
    missing: v.optional(v.pipe(v.array(path), v.maxLength(10_000)), []),
  }),
  v.object({
    type: v.literal('result'),
    ...lease,
    outcome: outcomeSchema,
    /** What the build itself took, by the worker's clock. */
    buildMs: v.pipe(v.number(), v.minValue(0)),
    /** What this lease made the worker pull, by the peer it came from. */
    fetched: v.pipe(v.array(v.object({ peer: id, bytes: count })), v.maxLength(1_000)),
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
