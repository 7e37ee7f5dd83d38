import * as v from 'valibot';
import { bytesSchema } from './codec.ts';
import { defineProtocol } from './protocol.ts';

/** The version of summaries this agent makes and understands. */
export const HOLDINGS_VERSION = 1;
/** Largest filter of one member: at ten bits a path the paths of any store known several times over. */
export const HOLDINGS_MAX_FILTER_BYTES = 4 * 1024 * 1024;
/** Bytes of a filter in one message. */
export const HOLDINGS_PAGE_BYTES = 64 * 1024;
/** Bytes of a store path's hash part, as it travels. */
export const HASH_BYTES = 20;
/** Paths in one message of news. */
export const HOLDINGS_MAX_ADDED = 3_000;

const epoch = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/**
 * Part of the sender's Bloom filter over its valid store paths. Path with hash h (20 bytes) is in it when the `hashes` bits
 * (h[0..3] + i × h[4..7]) mod `bits` are set, both read little endian, i from 0; bit b is bit b mod 8 of byte b / 8.
 */
export const holdingsSummarySchema = v.object({
  type: v.literal('summary'),
  version: v.literal(HOLDINGS_VERSION),
  /** Rises with every new filter of one sender. */
  epoch,
  /** Size of the filter: a multiple of 8. */
  bits: v.pipe(
    v.number(),
    v.integer(),
    v.minValue(64),
    v.maxValue(HOLDINGS_MAX_FILTER_BYTES * 8),
    v.multipleOf(8),
  ),
  hashes: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(16)),
  /** Paths in it, about. */
  paths: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  /** Where the page begins. Pages come in order; the one at 0 begins a new summary, which counts when the last page is there. */
  offset: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(HOLDINGS_MAX_FILTER_BYTES)),
  page: v.pipe(
    bytesSchema,
    v.check((bytes) => bytes.length > 0 && bytes.length <= HOLDINGS_PAGE_BYTES, 'not the length of a page'),
  ),
});
export type HoldingsSummary = v.InferOutput<typeof holdingsSummarySchema>;

/** A summary of a version this agent does not know. */
const foreignSummarySchema = v.object({
  type: v.literal('summary'),
  version: v.pipe(v.number(), v.integer(), v.notValue(HOLDINGS_VERSION)),
});

/** Paths that became valid since the summary of that epoch. */
export const holdingsAddedSchema = v.object({
  type: v.literal('added'),
  epoch,
  /** From 0 after every summary. */
  sequence: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  /** {@link HASH_BYTES} each. */
  hashes: v.pipe(
    bytesSchema,
    v.check((bytes) => bytes.length > 0 && bytes.length % HASH_BYTES === 0, 'not whole hashes'),
    v.check((bytes) => bytes.length <= HASH_BYTES * HOLDINGS_MAX_ADDED, 'too many hashes'),
  ),
});
export type HoldingsAdded = v.InferOutput<typeof holdingsAddedSchema>;

/** The sender does not keep the other's summaries; it is to send no more of them. Questions are still answered. */
const holdingsRefusedSchema = v.object({
  type: v.literal('refused'),
  reason: v.pipe(v.string(), v.maxLength(64)),
});

export const holdingsMessageSchema = v.union([
  holdingsSummarySchema,
  holdingsAddedSchema,
  holdingsRefusedSchema,
  foreignSummarySchema,
]);
export type HoldingsMessage = v.InferOutput<typeof holdingsMessageSchema>;

/** What members hold, told over one stream that each connected pair keeps; of each pair the lower peer id opens it. */
export const holdingsProtocol = defineProtocol<HoldingsMessage, HoldingsMessage>({
  id: '/mesh/holdings/1.0.0',
  maxFrameBytes: 256 * 1024,
  dialerSchema: holdingsMessageSchema,
  listenerSchema: holdingsMessageSchema,
  // One is kept; a second may overlap while the first is given up.
  maxInboundStreams: 2,
});
