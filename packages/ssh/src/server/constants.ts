/** Somebody who has not shown a key by then is gone. */
export const LOGIN_TIMEOUT_MS = 15_000;

/** Keys one connection may offer: an agent of a person's holds a handful. */
export const MAX_LOGIN_TRIES = 12;

/** Connections at once, of those who have shown a key and those who have not. Nix opens one for each derivation under way. */
export const MAX_CONNECTIONS = 256;

/** Commands at once on one connection, as sshd's `MaxSessions` has it ten times over: Nix shares connections. */
export const MAX_SESSIONS = 100;

/** A client that went without a word is noticed after KEEPALIVE_COUNT of these, and its builds end. */
export const KEEPALIVE_MS = 5_000;
export const KEEPALIVE_COUNT = 3;

/** AES in GCM first: in Node the fastest (measured 108 to 223 MB/s, against 88 to 165 for the others). */
export const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
] as const;

/** As sshd says it for a command that is not there. */
export const EXIT_REFUSED = 127;
