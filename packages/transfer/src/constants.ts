/** A ticket is used at once by the peer that asked for it; anything later is a replay. */
export const TICKET_LIFETIME_MS = 30_000;

/** Tickets given out and not yet used; a member that asks for more makes the oldest void. */
export const MAX_OPEN_TICKETS = 512;

/** A peer that has not finished its handshake by then is not going to. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Time for one attempt at one address of a peer: a LAN answers in milliseconds. */
export const CONNECT_TIMEOUT_MS = 5_000;

/** A side-channel connection with nothing asked for this long is closed; a new one costs one round trip and 3 ms. */
export const IDLE_CONNECTION_MS = 30_000;

/** A NAR under way that does not move for this long counts as lost, at the reading end. */
export const STALLED_TRANSFER_MS = 30_000;

/** Connections the serving end accepts in all: each holds at most one daemon connection and a few chunks. */
export const MAX_INBOUND_CONNECTIONS = 64;

/** Connections to one peer: a long NAR must not hold up the short ones behind it. */
export const MAX_CONNECTIONS_PER_PEER = 4;

/** NARs the gateway streams at once; further requests wait. */
export const GATEWAY_NARS_AT_ONCE = 8;

/** Paths given to one `nix copy`: 2,000 × 250 characters stay well below the kernel's limit for arguments. */
export const PATHS_PER_COPY = 2_000;

/** The data-plane thread ends after this long without work: an idle agent should not hold its heap. */
export const IDLE_THREAD_MS = 60_000;

/** Stragglers are not waited for when members are asked what they have: a wrong "nobody" only costs a build. */
export const HAVE_TIMEOUT_MS = 300;

/** Where nobody is known to have what a fetch wants they are: on a cable that others fill, an answer takes its time, and "nobody" ends the fetch. */
export const HAVE_PATIENCE_MS = 5_000;

/** A peer that does not answer a question about path infos or a ticket by then is treated as lost. */
export const REQUEST_TIMEOUT_MS = 20_000;

/** Questions under way on one store stream, at either end. */
export const MAX_PIPELINED_REQUESTS = 32;

/** Paths of one closure an agent is willing to hear or tell about: the largest systems have some ten thousand. */
export const MAX_CLOSURE_PATHS = 100_000;

/** Bytes of path infos after which a page is sent, well below the frame limit. */
export const INFO_PAGE_BYTES = 256 * 1024;

/** Signed infos kept by the server (about 1 KiB each): neighbours ask for the same closures again and again. */
export const MAX_CACHED_INFOS = 4_096;
