/**
 * Paths told of stay for at least this long: a fetch of many gigabytes asks for its last path late, but a path that is asked for is
 * rooted again.
 */
export const PROMISED_MS = 5 * 60_000;

/** Paths rooted over one connection before the next one is opened: nix-daemon searches them one by one as it collects. */
export const MAX_PATHS_PER_CONNECTION = 50_000;

/** An import up to this takes seconds, on one connection of the daemon's. */
export const SHORT_IMPORT_PATHS = 1_000;
export const SHORT_IMPORT_BYTES = 64 * 1024 * 1024;

/**
 * A smaller NAR is served in one go without a root of its own, which would cost more than reading it: it was promised when it was told
 * of, and where it goes in the middle after all its reader is told so.
 */
export const ROOTED_NAR_BYTES = 4 * 1024 * 1024;

/** Connections that hold roots at once. A peer that asks for ever more makes its oldest promises lapse, not this machine full. */
export const MAX_ROOT_CONNECTIONS = 4;
