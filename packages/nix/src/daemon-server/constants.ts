/*
 * The limits of a stand-in for the daemon. What only passes is never held, so its limits are there for nonsense.
 */

/** Longest string that passes: whole files were sent as strings (AddTextToStore), but none of this size. */
export const MAX_PASSING_STRING_BYTES = 1024 ** 3;
/** Longest frame that passes: Nix sends 64 KiB. */
export const MAX_FRAME_BYTES = 1024 ** 3;
/** Most items of one list: several times the paths of the largest stores known. */
export const MAX_PASSING_ITEMS = 10_000_000;
/** A handshake has some ten numbers and a few names of features. */
export const MAX_HANDSHAKE_BYTES = 16 * 1024;
/**
 * Longest request that is read whole. A derivation with every file of a large environment in it has some MiB; a longer request
 * passes to the real daemon unread.
 */
export const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** What a client may send ahead while its build runs, before it is made to wait; clients of Nix send nothing then. */
export const MAX_AHEAD_BYTES = 64 * 1024;
/** Talk that waits for a slow client at which log lines are left out rather than kept. */
export const MAX_TALK_BYTES = 4 * 1024 * 1024;
/** A client that takes nothing for this long after the end of a connection is not waited for any more. */
export const LINGER_MS = 10_000;

/** Path infos asked for ahead of a client that walks over a closure: on their way at once, and kept at most. */
export const MAX_INFOS_ON_WAY = 256;
export const MAX_INFOS_KEPT = 8192;
/** A path info that long is not kept, and none after it. */
export const MAX_INFOS_BYTES = 8 * 1024 * 1024;
/** Paths remembered as asked for in one walk; closures of whole systems have some ten thousand. */
export const MAX_WALKED_PATHS = 100_000;
/** What was asked for ahead answers no question after this: what is said of a path is never older. */
export const INFO_KEPT_MS = 1_000;
/** Path infos kept for all clients: those of some 40,000 paths. */
export const MAX_CACHED_INFOS_BYTES = 24 * 1024 * 1024;
/** However still the database is, the daemon is asked again some time. */
export const MAX_CACHED_MS = 30_000;
/** The database is looked at again after this. */
export const STAMP_VALID_MS = 5;
/** Linux stamps files by a clock that ticks every 10 ms at the longest, other file systems know full seconds only. */
export const STAMP_SETTLED_MS = 2_100;
/**
 * A NAR is made from the store's files here where it is large and its files are: a question and a walk over the files come
 * before its first byte, and for small files the daemon is as fast.
 */
export const MIN_OWN_NAR_BYTES = 1024 * 1024;
export const MIN_OWN_NAR_FILE_BYTES = 256 * 1024;
export const MAX_OWN_NAR_FILES = 4096;
/** Read and sent at once; several times what a socket holds. */
export const NAR_PIECE_BYTES = 1024 * 1024;
