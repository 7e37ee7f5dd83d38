/** After Ctrl-C the agent has this long to say that everything stopped; the user should not wait longer for a prompt. */
export const CANCEL_WAIT_MS = 1_000;
/** A running tree is redrawn this often for its clocks; faster is not seen, slower looks stuck. */
export const TREE_TICK_MS = 200;
/** Events closer together than this are drawn together, so that thousands of them do not become thousands of screens. */
export const TREE_MIN_INTERVAL_MS = 40;
/** A ticket or anything else read from stdin: the longest ticket the agent takes is 16 KiB. */
export const MAX_TICKET_BYTES = 64 * 1024;
/** What `mesh invite` gives a machine when nothing else is said: long enough to walk to it. */
export const DEFAULT_INVITE_TTL = '10m';
/** The longest invitation the agent takes. */
export const MAX_INVITE_TTL_MS = 7 * 24 * 3_600_000;
/** Root's agent serves every user of its machine: a user without an agent of their own asks there. */
export const SYSTEM_SOCKET_DIR = '/run/mesh';
/**
 * A signal this soon after the first is the same one again: a terminal signals its whole group and a wrapper (npm, say) passes its
 * own on, and exit hooks of libraries raise it anew. No hand is that fast.
 */
export const REPEATED_SIGNAL_MS = 200;
