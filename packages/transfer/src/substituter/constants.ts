/** Lower is asked earlier; cache.nixos.org says 40, and a LAN is nearer. */
export const DEFAULT_PRIORITY = 30;

/** Longest request target: ours have some 100 characters. */
export const MAX_URL_CHARS = 1_024;

/** Request line and headers together; Nix sends some hundred bytes. */
export const MAX_HEADER_BYTES = 16 * 1024;

/** Clients of one machine: Nix opens up to 25 connections a process (`http-connections`). */
export const MAX_HTTP_CONNECTIONS = 512;

/** A client that has not sent its request by then is not going to. */
export const REQUEST_HEAD_TIMEOUT_MS = 10_000;

/** An idle connection is kept for the next request: evaluation and building make longer pauses than copying. */
export const KEEP_ALIVE_MS = 60_000;

/** A client that takes nothing of an answer for this long is given up. Nix itself pauses while it unpacks on a busy disk. */
export const STALLED_CLIENT_MS = 300_000;

/** NARs streamed at once, further requests wait: each holds a few chunks and a daemon or side-channel connection. */
export const NARS_AT_ONCE = 16;

/** What is known of a path is believed without asking again for this long; a path that went meanwhile costs Nix one try. */
export const FRESH_MS = 60_000;

/** Paths known at once, some 2 KiB each. */
export const MAX_KNOWN_PATHS = 4_096;

/** Nobody asked for so long: what is known is forgotten, for an idle agent is a small one. */
export const FORGET_ALL_MS = 300_000;

/** A member that does not answer by then counts as not having the path. */
export const ASK_TIMEOUT_MS = 2_000;

/** Members asked about one path when summaries name more. */
export const MAX_ASKED = 4;

/** Hash parts in one question: answers come within milliseconds, and the next question takes what gathered meanwhile. */
export const QUESTION_HASH_PARTS = 1_000;

/** Questions of one kind under way to one peer. */
export const QUESTIONS_AT_ONCE = 2;

/** Signatures checked and made between two turns of the event loop: 32 pairs take about 5 ms. */
export const VERIFICATIONS_AT_ONCE = 32;

/** Pairs of member and path that proved bad, not asked for again. */
export const MAX_RULED_OUT = 10_000;

/**
 * NARs of members are asked for in ranges of this size, so many ahead in all streams together, and at least two in each. Much is asked
 * for ahead because on a busy machine every step of a range waits for a processor: with 4 MiB ahead such a machine made 25 MiB/s.
 */
export const RANGE_BYTES = 1024 * 1024;
export const RANGES_AHEAD = 10;
export const MIN_RANGES_AHEAD = 2;

/** Nix writes down what it was told within milliseconds; whoever asks again by hand takes longer than this. */
export const PURGE_SOON_MS = 200;
/** And once more so long after the last time. */
export const PURGE_AGAIN_MS = 5_000;
/** Paths whose NARs were gone, until Nix's notes of them are taken out. */
export const MAX_GONE = 1_000;
