/** The daemon's socket as the agent serves it, beside the sockets of the local API. */
export const NIX_SOCKET = 'nix.sock';

/** Clients at once: some five times what a large evaluation with many commands opens; each costs two descriptors and a nix-daemon. */
export const MAX_CLIENTS = 1_000;

/** The process that connects for other users costs 40 MB: it ends when nobody has needed it for this long. */
export const CONNECTOR_IDLE_MS = 60_000;

/** A nix-daemon whose queue of connections is full is asked again after this, and not longer than {@link CONNECT_WITHIN_MS}. */
export const CONNECT_AGAIN_MS = 20;
/** 200 clients at once take nix-daemon a second on a slow machine. */
export const CONNECT_WITHIN_MS = 30_000;
