import * as v from 'valibot';
import { AGENT_USER, CURRENT, INSTALL_DIR, LAUNCHD_PLIST, LAUNCHER, SYSTEMD_UNIT } from './constants.ts';
import { InstallError } from './errors.ts';
import type { Platform } from './package-tree.ts';

/** What an agent that answers there says of itself. */
export interface AgentFacts {
  readonly peerId: string;
  readonly meshId: string;
  readonly name: string;
}

/** What a machine is, and how much of a mesh it has: all that an installation is planned from. */
export interface HostFacts {
  /** `uname -s` and `uname -m`. */
  readonly kernel: string;
  readonly machine: string;
  /** What Node runs on there; undefined where it does not. */
  readonly platform: Platform | undefined;
  readonly nixos: boolean;
  /** Node is linked against glibc. */
  readonly musl: boolean;
  /** How commands become root's. */
  readonly root: 'is-root' | 'sudo' | 'sudo-password' | 'none';
  readonly nixVersion: string | undefined;
  /** Folder of Nix's programs. */
  readonly nixBin: string | undefined;
  readonly daemon: boolean;
  readonly serviceManager: 'systemd' | 'launchd' | 'none';
  /** Free where the agent goes. */
  readonly freeBytes: number | undefined;
  /** Folder of the running version's name, or a store path; undefined where there is none. */
  readonly current: string | undefined;
  /** Folders of versions: those that are there whole, and uploads that were broken off (`.new-…`). */
  readonly versions: readonly string[];
  /** Text of the systemd unit or launchd plist. */
  readonly unit: string | undefined;
  readonly active: boolean;
  /** Home of the user `mesh`. */
  readonly userHome: string | undefined;
  readonly stateDir: boolean;
  /** The file settings of Nix go into, its text, and whether something else makes that file. */
  readonly nixConf: { readonly path: string; readonly text: string; readonly foreign: boolean };
  /** Where the `mesh` on the PATH of everybody leads; `other` where it is no link. */
  readonly launcher: string | undefined;
  readonly firewall: 'ufw' | 'firewalld' | 'none';
  readonly agent: AgentFacts | undefined;
}

/**
 * Prints facts as `key=value` lines; what has more than one line goes in base64. Changes nothing, and needs nobody's rights but those
 * of the user who logs in.
 */
export const PROBE = `
set -u
PATH="$PATH:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
say() { printf '%s=%s\\n' "$1" "$2"; }
file() { [ ! -r "$2" ] || say "$1" "$(base64 <"$2" | tr -d '\\n')"; }
say probe 1
say kernel "$(uname -s)"
say machine "$(uname -m)"
if [ -e /etc/NIXOS ] || grep -q '^ID="\\?nixos"\\?$' /etc/os-release 2>/dev/null; then say nixos 1; fi
if ls /lib/ld-musl-* >/dev/null 2>&1 && ! ls /lib*/ld-linux* >/dev/null 2>&1; then say musl 1; fi
if [ "$(id -u)" = 0 ]; then say root is-root
elif ! command -v sudo >/dev/null 2>&1; then say root none
elif sudo -n true >/dev/null 2>&1; then say root sudo
else say root sudo-password; fi
if nix=$(command -v nix-store); then
  say nixBin "$(dirname "$nix")"
  # Else it looks for the daemon's socket first, which Debian shows to a group only.
  say nixVersion "$(NIX_REMOTE=daemon nix-store --version 2>/dev/null | head -n 1)"
fi
sockets=/nix/var/nix/daemon-socket
if [ -S $sockets/socket ] || { [ -d $sockets ] && [ ! -x $sockets ]; }; then say daemon 1; fi
if [ -d /run/systemd/system ]; then say serviceManager systemd
elif [ "$(uname -s)" = Darwin ]; then say serviceManager launchd; fi
at=${INSTALL_DIR}; while [ ! -d "$at" ]; do at=$(dirname "$at"); done
say freeKiB "$(df -Pk "$at" 2>/dev/null | awk 'NR == 2 { print $4 }')"
say current "$(readlink ${CURRENT} 2>/dev/null)"
for version in ${INSTALL_DIR}/versions/* ${INSTALL_DIR}/versions/.new-*; do [ ! -e "$version" ] || say version "$(basename "$version")"; done
file unit ${SYSTEMD_UNIT}
file unit ${LAUNCHD_PLIST}
if systemctl is-active --quiet mesh.service 2>/dev/null; then say active 1
elif pid=$(cat /run/mesh/supervisor.pid 2>/dev/null) && [ -d "/proc/$pid" ]; then say active 1
elif [ "$(uname -s)" = Darwin ] && launchctl print system/org.mesh.agent 2>/dev/null | grep -q 'state = running'; then say active 1; fi
if [ "$(uname -s)" = Darwin ]; then
  home=$(dscl . -read /Users/${AGENT_USER} NFSHomeDirectory 2>/dev/null | awk '{ print $2 }')
else
  home=$(getent passwd ${AGENT_USER} 2>/dev/null | cut -d: -f6)
fi
say userHome "$home"
[ ! -e /var/lib/mesh ] || say stateDir 1
conf=/etc/nix/nix.conf
if grep -q '^ *!\\{0,1\\}include *nix.custom.conf' $conf 2>/dev/null; then conf=/etc/nix/nix.custom.conf; fi
say nixConfPath "$conf"
[ ! -L "$conf" ] || say nixConfForeign 1
file nixConf "$conf"
if [ -L ${LAUNCHER} ]; then say launcher "$(readlink ${LAUNCHER})"; elif [ -e ${LAUNCHER} ]; then say launcher other; fi
if systemctl is-active --quiet firewalld 2>/dev/null; then say firewall firewalld
elif grep -qi '^ENABLED=yes' /etc/ufw/ufw.conf 2>/dev/null; then say firewall ufw; fi
for dir in /run/mesh /var/lib/mesh/run; do
  if [ -S "$dir/agent.sock" ] && [ -x ${CURRENT}/bin/mesh ]; then
    say agent "$(MESH_SOCKET_DIR=$dir ${CURRENT}/bin/mesh status --json 2>/dev/null | base64 | tr -d '\\n')"
  fi
done
say end 1
`;

const agentSchema = v.object({ peerId: v.string(), meshId: v.string(), name: v.string() });

/** Reads what {@link PROBE} printed. @throws InstallError INSTALL_PROBE_FAILED */
export function parseFacts(text: string): HostFacts {
  const values = new Map<string, string>();
  const versions: string[] = [];
  for (const line of text.split('\n')) {
    const [, key, value] = /^([a-zA-Z]+)=(.*)$/.exec(line) ?? [];
    if (key === 'version') versions.push(value!);
    else if (key !== undefined && value !== '' && !values.has(key)) values.set(key, value!);
  }
  if (values.get('probe') !== '1' || values.get('end') !== '1')
    throw new InstallError(
      'INSTALL_PROBE_FAILED',
      'What this machine is could not be found out: its login shell must run `sh -s` and print nothing else.',
    );
  const [kernel = '', machine = ''] = [values.get('kernel'), values.get('machine')];
  const decoded = (key: string) => {
    const found = values.get(key);
    return found === undefined ? undefined : Buffer.from(found, 'base64').toString('utf8');
  };
  const freeKiB = Number(values.get('freeKiB') ?? Number.NaN);
  return {
    kernel,
    machine,
    platform: platformOf(kernel, machine),
    nixos: values.has('nixos'),
    musl: values.has('musl'),
    root: picked(values.get('root'), ['is-root', 'sudo', 'sudo-password'] as const) ?? 'none',
    nixVersion: /\d+\.\d+[^\s)]*/.exec(values.get('nixVersion') ?? '')?.[0],
    nixBin: values.get('nixBin'),
    daemon: values.has('daemon'),
    serviceManager: picked(values.get('serviceManager'), ['systemd', 'launchd'] as const) ?? 'none',
    freeBytes: Number.isFinite(freeKiB) ? freeKiB * 1024 : undefined,
    current: values.get('current')?.replace(/^versions\//, ''),
    versions,
    unit: decoded('unit'),
    active: values.has('active'),
    userHome: values.get('userHome'),
    stateDir: values.has('stateDir'),
    nixConf: {
      path: values.get('nixConfPath') ?? '/etc/nix/nix.conf',
      text: decoded('nixConf') ?? '',
      foreign: values.has('nixConfForeign'),
    },
    launcher: values.get('launcher'),
    firewall: picked(values.get('firewall'), ['ufw', 'firewalld'] as const) ?? 'none',
    agent: agentOf(decoded('agent')),
  };
}

function agentOf(json: string | undefined): AgentFacts | undefined {
  if (json === undefined || json === '') return undefined;
  try {
    return v.parse(agentSchema, JSON.parse(json));
  } catch {
    // An agent of another version, or none: it is started anew anyway.
    return undefined;
  }
}

function platformOf(kernel: string, machine: string): Platform | undefined {
  const platform = ({ Linux: 'linux', Darwin: 'darwin' } as const)[kernel as 'Linux'];
  const arch = ({ x86_64: 'x64', amd64: 'x64', aarch64: 'arm64', arm64: 'arm64' } as const)[
    machine as 'x86_64'
  ];
  return platform === undefined || arch === undefined ? undefined : { platform, arch };
}

function picked<T extends string>(value: string | undefined, among: readonly T[]): T | undefined {
  return among.find((one) => one === value);
}
