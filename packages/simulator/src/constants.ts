/** One way through a LAN, and the least time between two messages of one connection (encoding, a system call). */
export const LAN_LATENCY_MS = 0.3;
export const MESSAGE_MS = 0.02;
/** One way between the parts of one agent. */
export const LOCAL_LATENCY_MS = 0.01;

/** What a build costs besides its work, in its slot: 31 trivial builds take one Nix daemon 0.8 s (the lab's figure). */
export const BUILD_OVERHEAD_MS = 25;
/** Asking for, checking and importing paths, per fetch and per path: 300 small paths take the agents about 0.9 s. */
export const FETCH_OVERHEAD_MS = 10;
export const FETCH_PATH_MS = 3;

/** Leases beyond its slots whose inputs a worker fetches meanwhile, as in the agent. */
export const AHEAD_SLOTS = 1;

/** Silent death of a machine is noticed by its peers after this long (SWIM's suspicion on a LAN: 6 to 10 s). */
export const DEATH_NOTICED_MS = 8_000;

/** Other homes answer a claim within this long or are waited for no longer. */
export const CLAIM_PATIENCE_MS = 1_000;

/** With the user at the keyboard builds run at this share of the machine's speed. */
export const USER_PRESENT_SPEED = 0.5;

/** Heartbeats only matter where machines die; elsewhere a rare one keeps a simulation of days quick. */
export const QUIET_HEARTBEAT_MS = 60_000;
