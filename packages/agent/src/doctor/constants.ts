/** An agent answers within a tenth of a second, unless it told the same within the last second (RFC 6762 §6): it is asked again then. */
export const MULTICAST_QUESTIONS = 2;
export const MULTICAST_LISTEN_MS = 1_200;
/** To connect to a port of a machine on the LAN. */
export const CONNECT_TIMEOUT_MS = 2_000;

/** Between machines that agree on the time to this, tickets and logs make sense. */
export const CLOCK_OFF_MS = 5_000;
/** Records of a member that the estimate of its clock is made of: half a minute's. */
export const CLOCK_SAMPLES = 6;

/** A build of any size soon fills less. */
export const LOW_STORE_BYTES = 5 * 1024 ** 3;
/** Below this an agent takes no more builds (`worker/disk-room.ts`), and Nix itself begins to fail. */
export const NO_STORE_BYTES = 512 * 1024 ** 2;
/** History, kept results and fetched pieces. */
export const LOW_STATE_BYTES = 256 * 1024 ** 2;
/** One compiler takes about that. */
export const LOW_MEMORY_BYTES = 512 * 1024 ** 2;
/** The agent needs a handful; others on the machine take theirs from the same pool. */
export const FEW_INOTIFY_WATCHES = 1_024;
export const FEW_INOTIFY_INSTANCES = 32;
