/** A hungry home answers a parked request in a round trip; one that has not by now waits for something, and others need not wait with it. */
export const OFFER_PATIENCE_MS = 250;
/** A home's claim to slots it did not get, or got too many of, is remembered up to this much slot time: a long build's worth. */
export const MAX_LAG_MS = 3_600_000;
/** A build has taken most of the memory it will take after this long; before, what it is expected to need counts as still to come. */
export const MEMORY_SETTLE_MS = 10_000;
/** Links of chains one home may have waiting here: each keeps a derivation in memory. */
export const MAX_FOLLOWERS = 256;
