import { isHashPart, isStorePath } from '@mesh/nix';
import * as v from 'valibot';
import { defineProtocol } from './protocol.ts';

/** Room for a page of path infos and for the longest single one (a path with some thousand references). */
export const STORE_MAX_FRAME_BYTES = 2 * 1024 * 1024;

/** Paths one question may name; callers ask several questions for more. */
export const STORE_MAX_PATHS = 4_000;

/** The version of the side channel's framing a ticket is for. */
export const BULK_VERSION = 3;

const requestId = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const storePath = v.pipe(v.string(), v.check(isStorePath, 'not a store path'));
const storePaths = v.pipe(v.array(storePath), v.maxLength(STORE_MAX_PATHS));
const hashParts = v.pipe(
  v.array(v.pipe(v.string(), v.check(isHashPart, 'not the hash part of a store path'))),
  v.maxLength(STORE_MAX_PATHS),
);
const bytes32 = v.custom<Uint8Array>(
  (value) => value instanceof Uint8Array && value.length === 32,
  'not 32 bytes',
);
const signature = v.pipe(v.string(), v.maxLength(512));

/** A path's description as it travels: what a narinfo holds, without URL and compression. */
export const pathDescriptionSchema = v.object({
  path: storePath,
  deriver: v.exactOptional(storePath),
  narHash: bytes32,
  narSize: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(Number.MAX_SAFE_INTEGER)),
  references: v.pipe(v.array(storePath), v.maxLength(20_000)),
  signatures: v.pipe(v.array(signature), v.maxLength(64)),
  ca: v.exactOptional(v.pipe(v.string(), v.maxLength(256))),
});

const infoPage = v.pipe(v.array(pathDescriptionSchema), v.maxLength(STORE_MAX_PATHS));

export const storeRequestSchema = v.variant('type', [
  /** Which of these paths are valid in your store? */
  v.object({ type: v.literal('have'), id: requestId, paths: storePaths }),
  /**
   * The signed infos of these paths' closures, references first; `exclude` names paths the asker has with everything
   * they refer to.
   */
  v.object({ type: v.literal('closure-infos'), id: requestId, paths: storePaths, exclude: storePaths }),
  /** The signed infos of the valid paths with these hash parts, without their closures. */
  v.object({ type: v.literal('path-infos'), id: requestId, hashParts }),
  /** A key to one connection of the side channel. */
  v.object({ type: v.literal('bulk-ticket'), id: requestId }),
  /** The asker no longer wants the answer. */
  v.object({ type: v.literal('cancel'), id: requestId }),
]);
export type StoreRequest = v.InferOutput<typeof storeRequestSchema>;

export const storeResponseSchema = v.variant('type', [
  v.object({ type: v.literal('have'), id: requestId, valid: storePaths }),
  /** One page; the answer ends with the page marked `last`. */
  v.object({
    type: v.literal('closure-infos'),
    id: requestId,
    infos: infoPage,
    last: v.boolean(),
    /** The teller's signature over all infos of the page at once: one to check in place of one for each. */
    vouch: v.exactOptional(signature),
  }),
  /** As `closure-infos`. */
  v.object({ type: v.literal('path-infos'), id: requestId, infos: infoPage, last: v.boolean() }),
  v.object({
    type: v.literal('bulk-ticket'),
    id: requestId,
    version: v.pipe(v.number(), v.integer()),
    port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
    /** PSK identity: 32 hexadecimal digits. */
    ticket: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
    /** The pre-shared key: 32 bytes, good for one connection. */
    key: bytes32,
  }),
  v.object({
    type: v.literal('error'),
    id: requestId,
    code: v.pipe(v.string(), v.maxLength(64)),
    message: v.pipe(v.string(), v.maxLength(2_000)),
  }),
]);
export type StoreResponse = v.InferOutput<typeof storeResponseSchema>;

/**
 * What a member's store holds. One kept stream per asking peer; requests carry ids and may be pipelined, answers come
 * in any order. NARs themselves do not travel here but over the side channel, to which `bulk-ticket` is the key.
 */
export const storeProtocol = defineProtocol({
  id: '/mesh/store/1.0.0',
  maxFrameBytes: STORE_MAX_FRAME_BYTES,
  dialerSchema: storeRequestSchema,
  listenerSchema: storeResponseSchema,
  // One is kept; a second may overlap while the first is given up.
  maxInboundStreams: 4,
});
