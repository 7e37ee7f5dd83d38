/** Outputs of which is known who has them: what Nix has built and not copied yet is a few hundred, one for each of its slots. */
export const MAX_DISTANT_OUTPUTS = 10_000;

/** What a `mesh-builder` says first; a list of systems and features is a few hundred bytes. */
export const MAX_GREETING_BYTES = 16 * 1024;

/** A `mesh-builder` speaks at once. */
export const GREETING_TIMEOUT_MS = 10_000;

/** Connections at once: one for each derivation that Nix has under way, 64 as the documentation has it, and those that copy. */
export const MAX_BUILDER_CONNECTIONS = 512;
