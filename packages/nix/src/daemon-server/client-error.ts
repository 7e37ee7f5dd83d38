import { NixError } from '../errors.ts';

/** The client sent what the protocol does not allow. */
export function clientError(what: string): NixError {
  return new NixError(
    'NIX_CLIENT_PROTOCOL',
    `The client of the nix-daemon sent ${what}, which the protocol does not allow: check that it is Nix.`,
  );
}
