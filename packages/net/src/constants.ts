/** Port an agent listens on unless told otherwise. */
export const DEFAULT_PORT = 4747;

/** Every member is signed in again a year later at the latest; admins renew what they can reach before that. */
export const CERTIFICATE_TTL_MS = 365 * 24 * 3_600_000;
/** A certificate that ends sooner than this is renewed by the next admin that meets its holder, or looks again, once a day. */
export const RENEW_BEFORE_MS = 90 * 24 * 3_600_000;
export const RENEW_INTERVAL_MS = 24 * 3_600_000;

/** A ticket is typed or piped at once; ten minutes leave time to walk to the other machine. */
export const DEFAULT_INVITATION_TTL_MS = 10 * 60_000;
/** A week: longer-lived tickets are passwords. */
export const MAX_INVITATION_TTL_MS = 7 * 24 * 3_600_000;

/** Unread bytes of a channel at which its stream is paused, and at which it is resumed. */
export const READ_HIGH_WATER_BYTES = 256 * 1024;
export const READ_LOW_WATER_BYTES = 64 * 1024;
/** Bytes a stream may hold back before senders wait: the initial window of yamux. */
export const WRITE_HIGH_WATER_BYTES = 256 * 1024;
/** Bytes of senders that did not wait for their turn; beyond this the channel is given up. */
export const MAX_WAITING_WRITE_BYTES = 64 * 1024 * 1024;

/** yamux grows a stream's window up to this; the read buffer must hold a whole window or a paused stream is killed. */
export const MAX_STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
export const MAX_STREAM_READ_BUFFER_BYTES = 16 * 1024 * 1024;

/** How long the other side may take to take the last bytes of a stream we close. */
export const STREAM_CLOSE_TIMEOUT_MS = 10_000;
/** A LAN answers within milliseconds; a machine that is swapping within a second or two. */
export const HELLO_TIMEOUT_MS = 5_000;
export const DIAL_TIMEOUT_MS = 5_000;
/** One dead address of a peer must not use up the time of the good one. */
export const ADDRESS_DIAL_TIMEOUT_MS = 2_000;
export const OPEN_TIMEOUT_MS = 10_000;
export const JOIN_TIMEOUT_MS = 15_000;

/** Signs of life, and how long without one makes a peer dead: within ten seconds, ping interval included. */
export const PING_INTERVAL_MS = 2_000;
export const SILENCE_LIMIT_MS = 8_000;
/** A peer that dials again while we last heard of it this long ago has lost the old connection. */
export const STALE_CONNECTION_MS = 2 * PING_INTERVAL_MS + 500;

/** Own record: at once on change but not more often than this, and at least this often. */
export const RECORD_MIN_INTERVAL_MS = 500;
export const RECORD_MAX_INTERVAL_MS = 5_000;

/** Inbound connections: libp2p's defaults (5 a second and host, 10 pending) fail when a LAN restarts or hides behind one address. */
export const INBOUND_CONNECTIONS_PER_SECOND = 50;
export const MAX_PENDING_INBOUND_CONNECTIONS = 64;
export const MAX_CONNECTIONS = 1_024;

/** Strangers at the door at a time while an invitation is open, and how long each may stay. */
export const MAX_STRANGER_CONNECTIONS = 8;
export const STRANGER_STAY_MS = JOIN_TIMEOUT_MS;

/** Strangers remembered for `mesh peers`, and for how long. */
export const MAX_STRANGERS = 128;
export const STRANGER_MEMORY_MS = 10 * 60_000;

/** Peers whose addresses survive a restart, and addresses of each. */
export const MAX_REMEMBERED_PEERS = 256;
export const MAX_ADDRESSES_PER_PEER = 8;
/** Changed addresses are written this much later, many changes at once. */
export const REMEMBER_DELAY_MS = 5_000;

/** Pauses between attempts to reach a peer. */
export const REDIAL_FIRST_MS = 250;
export const REDIAL_LAST_MS = 30_000;

/** One address that answers slowly must not keep the next one waiting: it is tried beside it (RFC 8305 calls for 250 ms). */
export const NEXT_ADDRESS_MS = 250;
/** A name server that is gone must not use up the time there is for dialling. */
export const RESOLVE_TIMEOUT_MS = 2_000;

/** How often the machine's addresses are looked at: a look costs a tenth of a millisecond, and nobody minds a second. */
export const WATCH_INTERVAL_MS = 1_000;
/** A watch this late means sleep, or a process that was stopped, and not merely a busy machine. */
export const WOKE_AFTER_MS = 3_000;
/** Where machines of the LAN were found less than this long ago they still are: no need to ask everybody again. */
export const LONG_STILL_MS = 60_000;
/** After sleep or a change of network a member must be heard of this soon: its next ping, and a second for its way. */
export const PROBE_LIMIT_MS = PING_INTERVAL_MS + 1_000;

/** Largest state file worth reading: the limits above times the size of their entries, with room. */
export const MAX_STATE_FILE_BYTES = 64 * 1024 * 1024;
