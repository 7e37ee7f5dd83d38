/** Rows kept, in the file and (some 70 MB) in memory: the largest package collection fits, with room for what is built often. */
export const MAX_ROWS = 100_000;
/** The file grows no further than this. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024;
/** Hashes of outputs kept, to notice builds that differ. */
export const MAX_OUTPUTS = 50_000;
/** Over a limit this many go at once, the oldest first. */
export const DROP_ROWS = 2_000;
/** Rows wait this long for company: one transaction a second costs a build nothing. */
export const FLUSH_DELAY_MS = 1_000;
/** Rows are written no more than this many at a time: some milliseconds. */
export const FLUSH_ROWS = 200;
/** Rows are read this many at a time, with other work let through in between: some milliseconds. */
export const LOAD_ROWS = 500;
/** Another process at the same file is waited for this long. */
export const BUSY_TIMEOUT_MS = 1_000;

/** A name that so many races in a row did not win is not raced again. */
export const RACES_LOST = 4;
/** Until so long after: machines and packages change. */
export const RACES_FORGOTTEN_MS = 14 * 24 * 3_600_000;
/** A name is taken for non-deterministic this long after two builds of it last differed. */
export const DIFFERENCE_FORGOTTEN_MS = 180 * 24 * 3_600_000;
/** Names whose races and differences are remembered. */
export const MAX_NAMES = 20_000;

/** Rows measured by machines that were removed from the mesh count this much. */
export const REMOVED_ORIGIN_WEIGHT = 0.25;

/** Members are asked for what they have measured this often. */
export const ASK_INTERVAL_MS = 180_000;
/** A member that has just come up is asked this late: its first seconds are for work. */
export const ASK_DELAY_MS = 500;
/** Members hear that there is something new this long after the first build they have not heard of. */
export const NEWS_DELAY_MS = 2_000;
/** A member is asked because of its news no more often than this. */
export const NEWS_INTERVAL_MS = 10_000;
/** Pages taken from a member at a time; a newcomer with more to learn goes on with the next round. */
export const PAGES_PER_ROUND = 25;
/** Pages given to one member a minute: twice what it asks for when all is well. */
export const PAGES_PER_MINUTE = 60;
/** A member that has not answered a page by then is given up for this round. */
export const PAGE_TIMEOUT_MS = 15_000;
