export const SSH_PORT = 22;

/** TCP connect, key exchange and authentication together; Nix's own ssh waits for ever, people set ConnectTimeout 3 to 30 s. */
export const SSH_READY_TIMEOUT_MS = 15_000;

/** A connection whose other end went without a word is noticed after {@link SSH_KEEPALIVE_COUNT} of these. */
export const SSH_KEEPALIVE_MS = 5_000;
export const SSH_KEEPALIVE_COUNT = 3;

/** What a command may say on stdout or stderr where its whole output is kept. */
export const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** `ssh_config` and `known_hosts` files larger than this are no such files. */
export const MAX_CONFIG_FILE_BYTES = 4 * 1024 * 1024;

/** As OpenSSH: includes may nest so deep. */
export const MAX_INCLUDE_DEPTH = 16;

/** Machines to go through on the way to one. */
export const MAX_JUMPS = 4;
