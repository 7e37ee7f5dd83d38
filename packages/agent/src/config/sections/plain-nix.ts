import type { KeySchemas } from '../key-schema.ts';

/** How plain Nix gets at the mesh. */
export interface PlainNixConfig {
  /** Whether to serve `nix.sock`. */
  nixSocket?: boolean;
}

export const plainNixKeys: KeySchemas<PlainNixConfig> = {
  nixSocket: {
    description:
      "Serve a stand-in for nix-daemon's socket, for `NIX_REMOTE=unix:///run/mesh/nix.sock` ([docs/plain-nix.md](plain-nix.md)).",
    type: 'boolean',
    default: true,
  },
};
