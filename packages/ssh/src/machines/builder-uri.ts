import { SshError } from '../errors.ts';
import type { SshName } from '../ssh-name.ts';

/** What the first field of a machines file says, as far as SSH is concerned. */
export interface BuilderUri extends SshName {
  /** Without what belongs to this machine alone, e.g. `ssh-ng://ryan@ruby:2222`. */
  readonly text: string;
  /** The program that speaks Nix's worker protocol there, as words of a shell; Nix's own is `nix-daemon`. */
  readonly remoteProgram?: string;
  /** The store it is to use there. */
  readonly remoteStore?: string;
  /** `ssh-key=`. */
  readonly identityFile?: string;
  /** `base64-ssh-public-host-key=`. */
  readonly hostKey?: string;
}

const SCHEME = /^([a-z0-9+.-]+):\/\//;
const AUTHORITY =
  /^(?:([^@/?]+)@)?(\[[0-9a-fA-F:.]+(?:%[\w.-]+)?\]|[^@/:[\]?]+|[0-9a-fA-F]*:[0-9a-fA-F:.]+)(?::(\d{1,5}))?\/?(?:\?(.*))?$/s;

/**
 * Reads a store URI: `ssh://`, `ssh-ng://`, or a bare host, which is the former. Both speak the worker protocol here.
 * Source of the forms: NixOS/nix src/libstore/machines.cc, store-reference.cc (ports and IPv6 addresses since 2.31).
 * @throws SshError SSH_BAD_TARGET for stores of another kind, and what is none
 */
export function parseBuilderUri(uri: string): BuilderUri {
  const scheme = SCHEME.exec(uri)?.[1];
  if (scheme === undefined ? isOtherStore(uri) : scheme !== 'ssh' && scheme !== 'ssh-ng') {
    throw new SshError(
      'SSH_BAD_TARGET',
      `${JSON.stringify(uri)} is a store that is not reached by SSH: only ssh:// and ssh-ng:// builders can be used.`,
    );
  }
  const found = AUTHORITY.exec(uri.replace(SCHEME, ''));
  const [, user, named, portText, query = ''] = found ?? [];
  const port = portText === undefined ? undefined : Number(portText);
  const isBad =
    named === undefined ||
    /[\s\0]/.test(uri) ||
    named.startsWith('-') ||
    user?.startsWith('-') === true ||
    (port !== undefined && (port < 1 || port > 65_535));
  if (isBad) {
    throw new SshError(
      'SSH_BAD_TARGET',
      `${JSON.stringify(uri)} is no address: write ssh-ng://[USER@]HOST[:PORT].`,
    );
  }
  const settings = settingsOf(query, uri);
  const host = named.replace(/^\[(.*)\]$/, '$1');
  const shown = host.includes(':') ? `[${host}]` : host;
  return {
    text: `ssh-ng://${user === undefined ? '' : `${user}@`}${shown}${port === undefined ? '' : `:${port}`}`,
    host,
    ...(user === undefined ? {} : { user }),
    ...(port === undefined ? {} : { port }),
    ...settings,
  };
}

/** What machines.cc does not take for a host. */
function isOtherStore(uri: string): boolean {
  const [name = ''] = uri.split('?');
  return name.includes('/') || ['', 'auto', 'daemon', 'local'].includes(name);
}

/** Settings of the store that matter here; others are Nix's own business. */
const SETTINGS = {
  'remote-program': 'remoteProgram',
  'remote-store': 'remoteStore',
  'ssh-key': 'identityFile',
  'base64-ssh-public-host-key': 'hostKey',
} as const;

function settingsOf(
  query: string,
  uri: string,
): Partial<Record<(typeof SETTINGS)[keyof typeof SETTINGS], string>> {
  const settings: Partial<Record<(typeof SETTINGS)[keyof typeof SETTINGS], string>> = {};
  for (const pair of query.split('&')) {
    const at = pair.indexOf('=');
    const name = SETTINGS[pair.slice(0, Math.max(0, at)) as keyof typeof SETTINGS];
    if (name === undefined) continue;
    try {
      settings[name] = decodeURIComponent(pair.slice(at + 1));
    } catch (cause) {
      throw new SshError(
        'SSH_BAD_TARGET',
        `${JSON.stringify(uri)} has a % that encodes nothing: write %25.`,
        { cause },
      );
    }
  }
  return settings;
}
