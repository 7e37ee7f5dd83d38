/*
 * The limits of a stand-in for the daemon. What only passes is never held, so its limits are there for nonsense.
 */

/** Longest string that passes: whole files were sent as strings (AddTextToStore), but none of this size. */
export const MAX_PASSING_STRING_BYTES = 1024 ** 3;
/** Longest frame that passes: Nix sends 64 KiB. */
export const MAX_FRAME_BYTES = 1024 ** 3;
/** Most strings of one list: see MAX_ITEMS of the client's side; pairs and quadruples count their members. */
export const MAX_PASSING_STRINGS = 10_000_000;
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
