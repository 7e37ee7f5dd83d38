import * as v from 'valibot';

const text = (max: number) => v.pipe(v.string(), v.maxLength(max));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));

/** A libp2p peer id of an ed25519 key (`12D3KooW…`). */
export const peerIdSchema = v.pipe(
  v.string(),
  v.minLength(46),
  v.maxLength(64),
  v.regex(/^[1-9A-HJ-NP-Za-km-z]+$/),
);

/** The name of a machine: what `mesh peers` and `--on` call it. */
export const machineNameSchema = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/));

/** Addresses of one machine, as multiaddrs. */
export const addressesSchema = v.pipe(v.array(text(256)), v.maxLength(32));

/** What a machine does at the moment. */
export const loadSchema = v.object({
  /** Builds running. */
  running: count,
  /** One-minute load average. */
  loadAverage: amount,
  /** Share of the last ten seconds in which something waited for a processor (PSI `some avg10`), 0 to 100. */
  cpuPressure: v.optional(v.pipe(amount, v.maxValue(100))),
  /** Likewise for memory (PSI `some avg10`). */
  memoryPressure: v.optional(v.pipe(amount, v.maxValue(100))),
  memoryAvailableBytes: count,
  diskAvailableBytes: count,
});

/** What a machine is and does: gossiped, signed by itself, the highest sequence wins. */
export const nodeRecordSchema = v.object({
  version: v.literal(1),
  peerId: peerIdSchema,
  /** Grows with every record of a peer, over restarts too (wall-clock milliseconds, never repeated). */
  sequence: count,
  name: machineNameSchema,
  addresses: addressesSchema,
  /** Nix systems it builds for, its own first. */
  systems: v.pipe(v.array(text(64)), v.maxLength(32)),
  systemFeatures: v.pipe(v.array(text(128)), v.maxLength(64)),
  cores: count,
  /** Builds it runs at the same time. */
  slots: count,
  memoryBytes: count,
  nixVersion: text(64),
  agentVersion: text(64),
  load: loadSchema,
  /** Speed relative to an ordinary machine (1). */
  speed: amount,
  /** Systems it only emulates, and how fast compared to a native build. */
  emulated: v.optional(v.record(text(64), v.pipe(amount, v.maxValue(1)))),
  /** Words its owner gave it, for `--on tag=…`. */
  tags: v.optional(v.pipe(v.array(text(64)), v.maxLength(64))),
  /** Why it takes nobody else's work at the moment; absent: it does. */
  closed: v.optional(text(300)),
  /** Jobs it is home of at the moment. */
  jobs: count,
});

export type NodeRecord = v.InferOutput<typeof nodeRecordSchema>;
export type NodeLoad = v.InferOutput<typeof loadSchema>;
