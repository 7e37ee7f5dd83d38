/** A lease lives this long without a heartbeat: BuildBuddy's figure; long enough for a stalled event loop, short for a user. */
export const LEASE_MS = 10_000;
/** Added before a silent lease is given elsewhere, so that a busy worker's late heartbeat still counts. */
export const LEASE_GRACE_MS = 10_000;
/** Three heartbeats fit into a lease. */
export const HEARTBEAT_MS = 3_000;
/** Machines that may fail at one derivation before it is given up. */
export const MAX_ATTEMPTS = 5;
/** Inputs of this many further derivations are fetched while the slots are busy: icecream measured -6 to -19 % with one. */
export const AHEAD_SLOTS = 1;
/** How long a home waits for a member to note its claims; a member that is slower loses its say. */
export const CLAIM_TIMEOUT_MS = 1_000;
/** Log lines of a build wait this long for company before they cross the network. */
export const LOG_FLUSH_MS = 50;
/** A chunk of log on the wire; a build that prints faster is slowed by its pipe. */
export const LOG_CHUNK_LINES = 1_000;
/** Log kept of one derivation; beyond it the middle is dropped and the drop is said. */
export const MAX_LOG_BYTES = 16 * 1024 * 1024;
/** Longest line kept whole. */
export const MAX_LOG_LINE_CHARS = 16_384;
/** Lines of a failed build's log that its error shows. */
export const LOG_TAIL_LINES = 25;
/** Finished jobs remembered for `mesh jobs`, `mesh report` and `mesh log`. */
export const MAX_FINISHED_JOBS = 50;
/** Holders named for one input: enough to choose from, few enough for 100,000 inputs. */
export const MAX_HOLDERS = 8;
/** Load is measured and told this often. */
export const LOAD_INTERVAL_MS = 5_000;
/** After the wanted outputs were lost with their machine, the job is planned again at most this often. */
export const MAX_REPLANS = 3;
