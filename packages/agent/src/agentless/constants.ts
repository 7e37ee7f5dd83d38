/** Sessions of one SSH connection: sshd opens ten at most (MaxSessions), and refuses further ones. */
export const SESSIONS_PER_CONNECTION = 8;

/** A machine that failed is left alone for so long at first, then twice as long each time, up to the longest. */
export const FIRST_PAUSE_MS = 1_000;
export const LONGEST_PAUSE_MS = 300_000;

/** A connection that held for so long starts the pauses anew: what broke it is not what broke the last. */
export const STABLE_MS = 60_000;

/** With no job for so long the connection is given up. */
export const UNUSED_MS = 300_000;

/** Daemon connections of this machine for all copies to and from such builders. */
export const COPY_CONNECTIONS = 8;

/** What is kept of a remote command's complaints. */
export const COMPLAINT_CHARACTERS = 500;

/** A daemon over SSH costs a session, a shell and two processes there, a tenth of a second: kept from one job to the next. */
export const DAEMON_IDLE_MS = 60_000;
export const DAEMON_AGE_MS = 600_000;

/** Daemons of one machine that are started at once: more only make the first ones late. */
export const DAEMONS_STARTED_AT_ONCE = 4;

/** Whether lines of builders were edited is looked at so often: a handful of `stat`s. */
export const LINES_INTERVAL_MS = 5_000;
