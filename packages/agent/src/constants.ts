/** Inputs of this many further derivations are fetched while the slots are busy: icecream measured -6 to -19 % with one. */
export const AHEAD_SLOTS = 1;
/** How long a home waits for a member to note its claims; a member that is slower loses its say. */
export const CLAIM_TIMEOUT_MS = 1_000;
/** What a home has built it tells the others' homes this late at most; a job that waits for it loses no more than this once. */
export const RELEASE_DELAY_MS = 50;
/** A lease tells its home how far its inputs are no more often: two a second look alive. */
export const PROGRESS_INTERVAL_MS = 500;
/** What a fetch said of its rate is no longer true when nothing came for so long. */
export const PROGRESS_STALE_MS = 3_000;
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
/** Paths whose holders a home has in mind, of all its jobs since it started: some ten jobs as large as jobs get, 100 MB at most. */
export const MAX_HELD_PATHS = 250_000;
/** Load is measured and told this often. */
export const LOAD_INTERVAL_MS = 5_000;
/** After the wanted outputs were lost with their machine, the job is planned again at most this often. */
export const MAX_REPLANS = 3;
/** A build's daemon connection waits this long for the next build: longer than the gaps within a job. */
export const IDLE_BUILD_CONNECTION_MS = 5_000;
/** However busy it is, it is not used for another build after this. */
export const BUILD_CONNECTION_AGE_MS = 60_000;
/** A finished job's results stay rooted this long, for the command to make its links and register them. */
export const RESULT_ROOT_MS = 30_000;
/** An agent that stops waits this long for workers to hear that its builds are cancelled; a LAN takes milliseconds. */
export const LEAVE_TIMEOUT_MS = 1_000;
/** Outputs stay rooted where they were built this long after their home has nothing left to build: its results are on their way. */
export const OUTPUT_ROOT_MS = 120_000;
/** Outputs are rooted and signed this long after the first of a batch was built: well within the life of the connection that built it. */
export const KEEP_DELAY_MS = 500;
/**
 * A member that is not connected may be back within seconds if it was seen, or this agent started, this recently: agents on one LAN
 * find each other in two or three seconds, a machine that restarts its agent in ten.
 */
export const EXPECTED_AGAIN_MS = 30_000;
/** While a build waits for a machine it needs, it looks this often whether that machine has declined. */
export const EXPECTED_LOOK_MS = 250;
/** Results kept for other machines, whatever their size: each is a link in a folder, and a line in what Nix reads to collect. */
export const MAX_KEPT_RESULTS = 20_000;
/** Uses of a kept result closer together than this are one: each is a write to the disk. */
export const NOTE_USE_AFTER_MS = 10 * 60_000;
/** Longest wait a timer is given: the clock on the wall may be set meanwhile. */
export const MAX_TIMER_MS = 3_600_000;
