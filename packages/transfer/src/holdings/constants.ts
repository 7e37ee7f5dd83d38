/** Bits of the filter a path: one path in 120 that a member has not is taken for one it has. */
export const BITS_PER_PATH = 10;
/** Bits set by each path: the best number for that many bits is 10 × ln 2. */
export const HASHES_PER_PATH = 7;
/** A filter has room for as many times the paths it begins with, so that it is seldom made and sent anew. */
export const ROOM_FACTOR = 2;
/** Paths a filter has room for at least: 1.25 KiB. */
export const MIN_CAPACITY = 1_024;

/** A filter with more of its bits set than this says "probably" to nearly everything: worth no more than none. */
export const MAX_FILL = 0.7;
/** Filters of all other members together: 250 members of 100,000 paths. */
export const MAX_HELD_BYTES = 64 * 1024 * 1024;

/** News of one agent go out this often at most: what a build brings within a moment goes together. */
export const NEWS_INTERVAL_MS = 100;

/** Between two readings of all valid paths, and only if something changed: finds what the watch missed. */
export const RELOAD_INTERVAL_MS = 10 * 60_000;
/** Soonest reading after one that was asked for early: the filter is full, or the watch overflowed. */
export const RELOAD_SOON_MS = 10_000;
/** Pauses between attempts to read the store when its daemon does not answer. */
export const RELOAD_RETRY_FIRST_MS = 1_000;
export const RELOAD_RETRY_LAST_MS = 5 * 60_000;
/** A filter with this many paths too many, and this part of all, is made anew. */
export const STALE_PATHS = 1_000;
export const STALE_SHARE = 0.25;

/** A new name in the store is looked at this much later, and then at growing intervals: it is there before it is valid. */
export const FIRST_LOOK_MS = 20;
export const LAST_LOOK_PAUSE_MS = 2_000;
/** Names that did not become valid by then are forgotten until something happens to them again. */
export const FORGET_NAME_MS = 120_000;
/** Names looked after at a time; more come when everything changes at once, and then all is read anew. */
export const MAX_WATCHED_NAMES = 10_000;
/** Names looked at in one go. */
export const NAMES_PER_LOOK = 1_000;

/**
 * Whoever writes a large file into the store wakes the watch with every write: a third of a second of processor time a gigabyte. After
 * so many it looks away for so long, and then at what came meanwhile.
 */
export const WRITES_IN_A_ROW = 100;
export const LOOK_AWAY_MS = 300;

/** Where directories cannot be watched, the store's is looked at this often, less and less often while nothing changes. */
export const POLL_FIRST_MS = 1_000;
export const POLL_LAST_MS = 30_000;

/** Pauses between attempts to open the stream to a connected member. */
export const REOPEN_FIRST_MS = 250;
export const REOPEN_LAST_MS = 5 * 60_000;
/** A stream that lived this long was a good one: the next pause is the first again. */
export const GOOD_STREAM_MS = 60_000;
