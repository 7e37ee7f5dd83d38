import * as v from 'valibot';

/** Paths one `cache-warm` may name: outputs of installables, not whole closures. */
const MAX_WARM_PATHS = 10_000;
/** Longer than any store path: what is none is refused where it is read. */
const MAX_PATH_CHARS = 512;

const path = v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_PATH_CHARS));

/** Requests about this machine's binary cache and the paths of the mesh. */
export const cacheRequestSchemas = [
  v.object({ method: v.literal('cache-status') }),
  /** Who holds this store path. */
  v.object({ method: v.literal('cache-which'), path }),
  /** Bring these store paths here, with all they refer to. */
  v.object({
    method: v.literal('cache-warm'),
    paths: v.pipe(v.array(path), v.maxLength(MAX_WARM_PATHS)),
  }),
] as const;

/** How far a fetch is. Bytes are NAR bytes. */
export const fetchProgressSchema = v.object({
  pathsDone: v.number(),
  pathsTotal: v.number(),
  bytesDone: v.number(),
  bytesTotal: v.number(),
  bytesPerS: v.number(),
  /** Bytes by the name of who gave them. */
  sources: v.record(v.string(), v.number()),
});
export type FetchProgress = v.InferOutput<typeof fetchProgressSchema>;

/** Shapes of the answers. */
export const cacheResultSchemas = {
  'cache-status': v.object({
    /** For `substituters`; null where the cache is off. */
    url: v.nullable(v.string()),
    /** Why it is off. */
    off: v.nullable(v.string()),
    /** This machine's key, for `trusted-public-keys`. */
    publicKey: v.string(),
    /** Whether Nix had the URL and the key in its configuration when the agent started. */
    configured: v.object({ substituter: v.boolean(), trusted: v.boolean() }),
    /** Descriptions of paths asked for: answered from memory, after asking, and not there. */
    narinfos: v.object({ known: v.number(), found: v.number(), absent: v.number() }),
    /** NARs given to this machine's Nix. */
    given: v.object({ nars: v.number(), bytes: v.number() }),
    /** Paths that the agent itself brought here. */
    fetched: v.object({ paths: v.number(), bytes: v.number() }),
    /** NAR bytes given to members. */
    served: v.object({ bytes: v.number() }),
    /** Results built here for others and kept for them: NAR bytes with all they refer to, and how many there may be. */
    kept: v.object({ paths: v.number(), bytes: v.number(), maxBytes: v.number() }),
    badPeers: v.number(),
  }),
  'cache-which': v.object({
    path: v.string(),
    /** Bytes; null where nobody here could tell. */
    narSize: v.nullable(v.number()),
    /** Valid on this machine. */
    here: v.boolean(),
    members: v.array(
      v.object({
        name: v.string(),
        peerId: v.string(),
        /** Bytes a second a fetch from there is expected to make. */
        bytesPerS: v.number(),
      }),
    ),
    /** Whether substituters of this machine offer it; null where it is here already, and nobody was asked. */
    upstream: v.nullable(v.boolean()),
  }),
  'cache-warm': v.object({
    /** Of the paths named, how many were here before. */
    alreadyHere: v.number(),
    /** Paths and NAR bytes that came, with all they refer to. */
    fetchedPaths: v.number(),
    fetchedBytes: v.number(),
    sources: v.record(v.string(), v.number()),
    /** Of the paths named, those that nobody has. */
    missing: v.array(v.string()),
  }),
} as const;
