/** Largest data frame: bounds what a receiver is asked to believe about a length. */
export const MAX_DATA_BYTES = 1024 * 1024;

/** A compressed block may be a little longer than what is in it; one that is, is sent as it is. */
export const MAX_PACKED_BYTES = MAX_DATA_BYTES + 4;

/** Longest range one request may name: larger reads ask again, so that what is under way stays bounded and can move elsewhere. */
export const MAX_RANGE_BYTES = 16 * 1024 * 1024;

/** NARs asked for as one batch: what hides a round trip many times over, and still is a small part of a large closure. */
export const MAX_BATCH_PATHS = 256;
/** Bytes of a batch, which its asker holds whole. */
export const MAX_BATCH_BYTES = 2 * 1024 * 1024;

/** Longest store path: directory, 32 digits, hyphen, 211 characters of name, with room to spare. */
export const MAX_PATH_BYTES = 512;

/** Longest error text. */
export const MAX_ERROR_BYTES = 4_096;

/** One bit for each piece of the largest NAR: see `pieceBytes`. */
export const MAX_BITMAP_BYTES = 512;

/** Fetchers of one path a peer is told of: a swarm is well connected long before it knows this many. */
export const MAX_FETCHERS = 64;

/** Longest peer id; libp2p's are 52 characters. */
export const MAX_PEER_ID_BYTES = 128;

/** Ranges a client has under way on one connection: hides the round trips of small NARs. */
export const MAX_PIPELINED_RANGES = 32;

/** Ranges a server takes up on one connection; while there are as many, it reads no further. */
export const MAX_QUEUED_RANGES = 2 * MAX_PIPELINED_RANGES;

/** Queued ranges whose path is looked up before their turn: small NARs ask the daemon together, and nobody waits for it. */
export const OPENED_AHEAD = 32;

/** What is no longer than this is copied and written without waiting for the network: waiting costs more than the copy. */
export const COPIED_BYTES = 16 * 1024;

/** Paths one connection may watch at once: a fetch of more large paths than this watches the ones it is at. */
export const MAX_WATCHES = 256;

/** Bytes under way on a connection above which another one to the same peer is worth its handshake. */
export const BUSY_CONNECTION_BYTES = 1024 * 1024;

/** A range that moves fewer bytes than {@link MIN_WINDOW_BYTES} in such a time counts as lost: 1 KiB/s is nobody's network. */
export const STALL_WINDOW_MS = 15_000;
export const MIN_WINDOW_BYTES = 15 * 1024;

/** Bytes handed to a connection at once; a turn, where peers share an upload limit. */
export const SEND_BYTES = 256 * 1024;

/** What a watcher hears of one path is put together for this long: a bitmap changes with every piece. */
export const HOLDING_PAUSE_MS = 50;

/** Log2 of zstd's window: as long as a block, so that unpacking one takes no more memory than that. */
export const ZSTD_WINDOW_LOG = 20;

/** A path's reader is kept this long for the asker's next range of it. */
export const KEPT_READER_MS = 2_000;

/** What is known of the files of paths lately served: many small ones, or one or two of the largest there are. */
export const MAX_LAYOUTS = 256;
export const MAX_LAYOUT_BYTES = 16 * 1024 * 1024;
/** It is forgotten when nothing was served for this long. */
export const LAYOUT_IDLE_MS = 30_000;

/** Connections one peer may have open here: twice what it needs, so that it cannot take all places of others. */
export const MAX_CONNECTIONS_OF_ONE_PEER = 8;

/** Compressed blocks kept on disk. */
export const MAX_KEPT_PACKED_BYTES = 1024 ** 3;

/** Bytes of a NAR that are compressed as one: as much as a frame may hold. */
export const BLOCK_BYTES = MAX_DATA_BYTES;

/** Blocks compressed while the one before is sent: keeps the network busy without much memory. */
export const BLOCKS_AHEAD = 2;

/** Bytes sent as they are before it is thought over again. */
export const RAW_STRETCH_BYTES = 4 * BLOCK_BYTES;

/** Peers whose network's speed is remembered. */
export const MAX_LINK_RATES = 256;
