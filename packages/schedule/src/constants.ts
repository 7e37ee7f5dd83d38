/** Ids remembered to recognise duplicates, per worker. A duplicate comes within a reconnection, not thousands of messages later. */
export const REMEMBERED_IDS = 4_096;

/** Parked requests a home holds for one worker: more than any machine has slots, so that a broken one cannot fill memory. */
export const MAX_PARKED_REQUESTS = 1_024;

/** Claims a home keeps for one other home; beyond them a shared derivation may be built twice, which is only waste. */
export const MAX_CLAIMS_PER_HOME = 200_000;

/** How long a built derivation is remembered after its job: covers a home that looked for outputs just before, and claims just after. */
export const RECENTLY_BUILT_MS = 60_000;
export const MAX_RECENTLY_BUILT = 20_000;

/** A worker's requests need a moment to come; what is still missing then, another home has. */
export const HUNGRY_AFTER_MS = 50;
/** Builds end and start in bursts: a home that has nothing ready for a moment keeps its place in the queue. */
export const SATED_AFTER_MS = 500;

/** A worker that had no room (slot, memory, disk) is not asked for the same derivation again before this: its figures follow within it. */
export const SHUN_MS = 1_000;

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

/** Gigabit Ethernet, until the link is measured. */
export const DEFAULT_LINK_BYTES_PER_MS = 110_000;
/** Fetching, signing and messages of a small lease on another machine of a LAN, as measured. */
export const REMOTE_LEASE_MS = 15;

/** Shorter builds are not worth a transfer. */
export const CRUMB_MS = 300;
/** Links of a chain that go with their first: beyond, another machine might be free sooner. */
export const CHAIN_LINK_MS = 2_000;
export const CHAIN_MS = 8_000;
export const MAX_CHAIN = 32;

/** Cores that a `big-parallel` build nobody has seen is assumed to keep busy. */
export const GIANT_CORES = 16;
/** Share of its work that more cores divide (Amdahl). */
export const GIANT_PARALLEL_SHARE = 0.9;

/** Ends this close to each other count as one: predictions are no better. */
export const EQUAL_END_MS = 20;
export const EQUAL_END_SHARE = 0.02;
/** `--prefer` is worth this share of the time a build would take elsewhere. */
export const PREFERENCE = 0.25;

/** Ready derivations looked at in one round: those before it wait for faster slots, and each look costs time. */
export const MAX_EXAMINED = 24;
/** Candidates looked at in one round, derivations times workers: keeps a decision in a large mesh under a millisecond. */
export const MAX_LOOKS = 1_024;
/** Likewise for those that only requests ahead wait for: what is sent ahead too late costs a fetch, no more. */
export const MAX_EXAMINED_AHEAD = 8;

/** A race must promise this much, in itself and for the job's end: less is noise. */
export const RACE_GAIN_MS = 1_000;
export const RACE_GAIN_SHARE = 0.2;
/** Slot time that lost races may cost, of all there is: the rest of 5 % is for those under way. */
export const RACE_WASTE_SHARE = 0.03;
/** Races lost in a row of which none was won that end free racing. */
export const FREE_RACES = 3;
/** Share of builds that run into trouble on their machine rather than being long, and how much longer that makes them. */
export const HICCUP_SHARE = 0.02;
export const HICCUP_FACTOR = 5;

/** Lease length, and the time after it before the home gives the derivation to somebody else. */
export const LEASE_MS = 10_000;
export const LEASE_GRACE_MS = 10_000;
/** Three heartbeats fit into a lease, so two may be lost. */
export const HEARTBEAT_MS = 3_000;
/** Machines that may fail a derivation before it fails; the last try is the home's own worker where it can. */
export const MAX_ATTEMPTS = 4;
/** A running build survives its home's absence this long: as long as the home would wait for a lease. */
export const HOME_GRACE_MS = 20_000;
