import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { MAX_JUMPS, SSH_PORT } from './constants.ts';
import { SshError } from './errors.ts';
import type { SshTarget } from './ssh-client.ts';
import { readSshConfig, realSshFiles, type SshFiles } from './ssh-config-files.ts';
import { parseSshName, type SshName } from './ssh-name.ts';

/** What `resolveTarget` knows of the place it runs in; every field has the running process's own as its default. */
export interface SshSurroundings {
  readonly home?: string;
  /** The local user, and the remote one where nothing names another. */
  readonly user?: string;
  /** `ssh_config` files, the one that counts first at the start. */
  readonly configFiles?: readonly string[];
  /** For `SSH_AUTH_SOCK`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly files?: SshFiles;
}

/** What takes the place of `ssh_config`'s word, as options on `ssh`'s command line do. */
export interface SshOverrides {
  readonly user?: string;
  readonly port?: number;
  /** As `-i`: tried first. */
  readonly identityFile?: string;
  readonly pinnedHostKey?: string;
}

/**
 * Where a name leads, by `~/.ssh/config` and `/etc/ssh/ssh_config`: `HostName`, `Port`, `User`, `IdentityFile`, `IdentityAgent`,
 * `IdentitiesOnly`, `UserKnownHostsFile`, `GlobalKnownHostsFile`, `HostKeyAlias`, `StrictHostKeyChecking`, `ProxyJump`.
 * `Match exec` never runs anything and so never matches.
 *
 * @param name `[USER@]HOST[:PORT]`, or its parts
 * @throws SshError SSH_BAD_TARGET, SSH_BAD_CONFIG
 */
export function resolveTarget(
  name: string | SshName,
  overrides: SshOverrides = {},
  surroundings: SshSurroundings = {},
): SshTarget {
  return resolve(name, overrides, surroundings, 0);
}

function resolve(
  name: string | SshName,
  overrides: SshOverrides,
  surroundings: SshSurroundings,
  jumps: number,
): SshTarget {
  const named = typeof name === 'string' ? parseSshName(name) : name;
  const home = surroundings.home ?? homedir();
  const localUser = surroundings.user ?? userInfo().username;
  const files = surroundings.files ?? realSshFiles;
  const configFiles = surroundings.configFiles ?? [join(home, '.ssh/config'), '/etc/ssh/ssh_config'];
  const wishedUser = overrides.user ?? named.user;
  const config = new Values(
    readSshConfig(configFiles, home, files).compute(
      { Host: named.host, ...(wishedUser === undefined ? {} : { User: wishedUser }) },
      { ignoreCase: true, matchExec: false },
    ) as Record<string, string | string[] | undefined>,
  );
  if (config.has('proxycommand')) {
    throw new SshError(
      'SSH_BAD_CONFIG',
      `ssh_config reaches ${named.host} by a ProxyCommand, which is not supported: use ProxyJump or a direct address.`,
    );
  }
  const host = (config.one('hostname') ?? named.host).replaceAll('%h', named.host).replaceAll('%%', '%');
  const port = overrides.port ?? named.port ?? portOf(config.one('port'), named.host);
  const user = wishedUser ?? config.one('user') ?? localUser;
  const tokens = { d: home, h: host, r: user, u: localUser, n: named.host, p: String(port), '%': '%' };
  const path = (text: string): string => expandPath(text, home, tokens);
  const paths = (key: string, fallback: readonly string[]): string[] =>
    (config.all(key) ?? fallback).filter((file) => file.toLowerCase() !== 'none').map(path);
  const agentSocket = agentOf(config.one('identityagent'), surroundings.env ?? process.env, path);
  const checking = config.one('stricthostkeychecking')?.toLowerCase();
  const hostKeyAlias = config.one('hostkeyalias');
  const jump = jumpOf(config.one('proxyjump'), surroundings, jumps, named.host);
  const identities = paths('identityfile', []);
  return {
    name: named.host,
    host,
    port,
    user,
    identityFiles: [
      ...(overrides.identityFile === undefined ? [] : [path(overrides.identityFile)]),
      ...(identities.length > 0 || overrides.identityFile !== undefined
        ? identities
        : DEFAULT_IDENTITIES.map((file) => join(home, '.ssh', file))),
    ],
    knownHostsFiles: [
      ...paths('userknownhostsfile', ['~/.ssh/known_hosts', '~/.ssh/known_hosts2']),
      ...paths('globalknownhostsfile', ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2']),
    ],
    ...(agentSocket === undefined ? {} : { agentSocket }),
    ...(overrides.pinnedHostKey === undefined ? {} : { pinnedHostKey: overrides.pinnedHostKey }),
    ...(hostKeyAlias === undefined ? {} : { hostKeyAlias }),
    ...(checking === 'accept-new' || checking === 'no' || checking === 'off' ? { acceptNewHosts: true } : {}),
    ...(config.one('identitiesonly')?.toLowerCase() === 'yes' ? { identitiesOnly: true } : {}),
    ...(jump === undefined ? {} : { jump }),
  };
}

/** OpenSSH's, in its order, without types `ssh2` cannot use. */
const DEFAULT_IDENTITIES = ['id_rsa', 'id_ecdsa', 'id_ed25519'];

/** What `ssh-config` found, by lower-case keyword. */
class Values {
  readonly #values: Record<string, string | string[] | undefined>;

  constructor(values: Record<string, string | string[] | undefined>) {
    this.#values = values;
  }

  one(key: string): string | undefined {
    const value = this.#values[key];
    return typeof value === 'string' ? value : value?.[0];
  }

  all(key: string): string[] | undefined {
    const value = this.#values[key];
    return typeof value === 'string' ? [value] : value;
  }

  has(key: string): boolean {
    const value = this.one(key);
    return value !== undefined && value.toLowerCase() !== 'none';
  }
}

function portOf(text: string | undefined, name: string): number {
  if (text === undefined) return SSH_PORT;
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new SshError('SSH_BAD_CONFIG', `ssh_config gives ${name} the port ${JSON.stringify(text)}: mend it.`);
}

function agentOf(
  setting: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  path: (text: string) => string,
): string | undefined {
  const fromEnv = env.SSH_AUTH_SOCK;
  if (setting === undefined || setting === 'SSH_AUTH_SOCK') return fromEnv === '' ? undefined : fromEnv;
  if (setting.toLowerCase() === 'none') return undefined;
  if (setting.startsWith('$')) return env[setting.slice(1).replace(/^\{(.*)\}$/, '$1')];
  return path(setting);
}

function jumpOf(
  setting: string | undefined,
  surroundings: SshSurroundings,
  jumps: number,
  name: string,
): SshTarget | undefined {
  if (setting === undefined || setting.toLowerCase() === 'none') return undefined;
  if (jumps >= MAX_JUMPS) {
    throw new SshError(
      'SSH_BAD_CONFIG',
      `ssh_config leads to ${name} by too many ProxyJumps: is one its own?`,
    );
  }
  // The first of a list is dialled first, so the last one is ours and reaches it by those before.
  const hops = setting.split(',');
  let target: SshTarget | undefined;
  for (const hop of hops) {
    const resolved: SshTarget = resolve(hop.trim(), {}, surroundings, jumps + 1);
    target = target === undefined ? resolved : { ...resolved, jump: target };
  }
  return target;
}

function expandPath(text: string, home: string, tokens: Readonly<Record<string, string>>): string {
  const expanded = text.replace(/%(.)/g, (whole, token: string) => tokens[token] ?? whole);
  if (expanded === '~') return home;
  return expanded.startsWith('~/') ? join(home, expanded.slice(2)) : expanded;
}
