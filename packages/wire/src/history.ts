import * as v from 'valibot';
import { peerIdSchema } from './node-record.ts';
import { defineProtocol } from './protocol.ts';

/** Rows of one answer: with the longest names still within the frame. */
export const HISTORY_MAX_ROWS = 400;
/** Peers whose rows one question is about. */
export const HISTORY_MAX_ORIGINS = 1_000;

const sequence = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));

/** One finished build as the home of its job measured it; `origin` and `sequence` together name the row everywhere. */
export const historyRowSchema = v.object({
  /** The home of its job. */
  origin: peerIdSchema,
  /** Rises from row to row of an origin and is no larger than the milliseconds since the epoch when it was written. */
  sequence,
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(211)),
  system: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
  /** Where it was built. */
  machine: peerIdSchema,
  /** When it ended: wall-clock milliseconds since the epoch. */
  at: amount,
  wallMs: amount,
  outcome: v.picklist(['built', 'failed', 'out-of-memory']),
  /** Of that machine at the time, emulation included, relative to an ordinary one. */
  speed: v.optional(amount),
  emulated: v.optional(v.boolean()),
  /** Cores it was given. */
  cores: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  cpuMs: v.optional(amount),
  memoryPeakBytes: v.optional(amount),
  outputBytes: v.optional(amount),
});
export type HistoryRow = v.InferOutput<typeof historyRowSchema>;

/** The newest row of an origin that the asker has. */
export const historyMarkSchema = v.object({ origin: peerIdSchema, sequence });
export type HistoryMark = v.InferOutput<typeof historyMarkSchema>;

export const historyRequestSchema = v.variant('type', [
  /** What have you that is newer than this? Of origins not named: everything. Answered by `rows`. */
  v.object({
    type: v.literal('since'),
    have: v.pipe(v.array(historyMarkSchema), v.maxLength(HISTORY_MAX_ORIGINS)),
  }),
  /** I have measured more builds: worth asking. Not answered. */
  v.object({ type: v.literal('news') }),
]);
export type HistoryRequest = v.InferOutput<typeof historyRequestSchema>;

export const historyResponseSchema = v.variant('type', [
  v.object({
    type: v.literal('rows'),
    /** Rows of one origin in order of their sequence. */
    rows: v.pipe(v.array(historyRowSchema), v.maxLength(HISTORY_MAX_ROWS)),
    /** Ask again, with what these rows brought. */
    more: v.boolean(),
  }),
]);
export type HistoryResponse = v.InferOutput<typeof historyResponseSchema>;

/** What builds took, from member to member. The side that called asks page by page; each question has one answer. */
export const historyProtocol = defineProtocol<HistoryRequest, HistoryResponse>({
  id: '/mesh/history/1.0.0',
  maxFrameBytes: 256 * 1024,
  dialerSchema: historyRequestSchema,
  listenerSchema: historyResponseSchema,
  // One question under way and one word of news.
  maxInboundStreams: 4,
});
