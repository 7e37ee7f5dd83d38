/** NARs of this size and more come in pieces from everybody who has them; smaller ones are not worth finding out. */
export const LARGE_NAR_BYTES = 8 * 1024 * 1024;

/** Memory of all fetches for pieces that came or are coming and were not taken yet. */
export const WINDOW_BUDGET_BYTES = 32 * 1024 * 1024;

/** Of one NAR: enough for a gigabit over a tenth of a second, twice. */
export const WINDOW_BYTES = 24 * 1024 * 1024;

/** Small NARs pulled before the importer wants them: hides round trips, also to several peers. */
export const PULLED_AHEAD_BYTES = 8 * 1024 * 1024;
export const PULLED_AHEAD_NARS = 512;
/** With fewer the next ones are pulled: together, so that they come as a batch. */
export const PULLED_AGAIN_NARS = PULLED_AHEAD_NARS / 2;

/** NARs up to this size may come in batches: of larger ones each is worth a question of its own. */
export const BATCHED_NAR_BYTES = 128 * 1024;

/** Others that fetch the same NAR and are exchanged pieces with: each takes a connection at either end. */
export const MAX_SWARM = 12;

/** What has to stay free on the disk besides a spool. */
export const SPOOL_RESERVE_BYTES = 256 * 1024 * 1024;

/** Pieces are given to others for this long after the own fetch: by then the path is valid, and served from the store. */
export const SPOOL_LINGER_MS = 5_000;

/** While nothing comes, sources are looked at again this often. */
export const TICK_MS = 250;

/** NARs up to this size come whole, in one range: one buffer, no plan. */
export const SMALL_NAR_BYTES = 1024 * 1024;

/** What came of a NAR is told this often while it comes. */
export const PROGRESS_MS = 250;
