/** Ids remembered to recognise duplicates, per worker. A duplicate comes within a reconnection, not thousands of messages later. */
export const REMEMBERED_IDS = 4_096;

/** Parked requests a home holds for one worker: more than any machine has slots, so that a broken one cannot fill memory. */
export const MAX_PARKED_REQUESTS = 1_024;

/** Claims a home keeps for one other home; beyond them a shared derivation may be built twice, which is only waste. */
export const MAX_CLAIMS_PER_HOME = 200_000;

/** How long a built derivation is remembered after its job: covers a home that looked for outputs just before, and claims just after. */
export const RECENTLY_BUILT_MS = 60_000;
export const MAX_RECENTLY_BUILT = 20_000;

/** How long a derivation no connected machine can build waits for one: members connect within seconds of a start. */
export const IMPOSSIBLE_AFTER_MS = 5_000;

/**
 * Derivations this close to the top of the queue count as equally urgent, so that one whose inputs are at hand may
 * go first: 100 ms is what fetching a few small inputs costs, 2 % is below what predictions can tell apart.
 */
export const PRIORITY_BAND_MS = 100;
export const PRIORITY_BAND_SHARE = 0.02;

/** Bytes a LAN moves in about 10 ms: differences below do not decide where a derivation is built. */
export const EQUAL_BYTES = 1_048_576;

/** Lease length, and the time after it before the home gives the derivation to somebody else. */
export const LEASE_MS = 10_000;
export const LEASE_GRACE_MS = 10_000;
/** Three heartbeats fit into a lease, so two may be lost. */
export const HEARTBEAT_MS = 3_000;
/** Machines that may fail a derivation before it fails; the last try is the home's own worker where it can. */
export const MAX_ATTEMPTS = 4;
/** A running build survives its home's absence this long: as long as the home would wait for a lease. */
export const HOME_GRACE_MS = 20_000;
