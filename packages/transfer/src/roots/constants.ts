/**
 * Paths told of stay for at least this long: a fetch of many gigabytes asks for its last path late, but a path that is asked for is
 * rooted again.
 */
export const PROMISED_MS = 5 * 60_000;

/** Paths rooted over one connection before the next one is opened: nix-daemon searches them one by one as it collects. */
export const MAX_PATHS_PER_CONNECTION = 50_000;

/** Connections that hold roots at once. A peer that asks for ever more makes its oldest promises lapse, not this machine full. */
export const MAX_ROOT_CONNECTIONS = 4;
