import {
  AGENT_USER,
  CURRENT,
  INSTALL_DIR,
  LAUNCHD_LABEL,
  LAUNCHD_PLIST,
  LAUNCHER,
  LOG_FILE,
  STATE_DIR,
  SYSTEMD_UNIT,
} from './constants.ts';
import type { HostFacts } from './host-facts.ts';
import { shellQuote } from './shell-quote.ts';

/*
 * What root runs on a machine. Each may be broken off anywhere and run again: it looks at what is there before it changes it, and
 * files appear by a rename.
 */

type Service = 'systemd' | 'launchd' | 'supervise' | 'none';

/** Writes a text file with mode 644, or as it was. */
function writeFile(path: string, text: string): string {
  const [to, part] = [shellQuote(path), shellQuote(`${path}.mesh-new`)];
  return `mkdir -p "$(dirname ${to})"
if [ -e ${to} ]; then cp -p ${to} ${part}; else : >${part}; chmod 644 ${part}; fi
printf %s ${shellQuote(text)} >${part}
mv -f ${part} ${to}`;
}

/**
 * Unpacks a bundle that comes on stdin; the folder has its name when it is whole. One line without backslashes: it goes through
 * whatever login shell there is.
 */
export function unpackScript(id: string): string {
  const to = shellQuote(`${INSTALL_DIR}/versions/${id}`);
  return [
    'set -eu',
    'umask 022',
    `mkdir -p ${INSTALL_DIR}/versions`,
    `part=$(mktemp -d ${INSTALL_DIR}/versions/.new-XXXXXX)`,
    `trap 'rm -rf "$part"' EXIT`,
    'chmod 755 "$part"',
    'tar -xzf - -C "$part"',
    `rm -rf ${to}`,
    `mv "$part" ${to}`,
  ].join('; ');
}

/** Takes a closure that comes on stdin as `nix-store --export` writes it, and keeps it from being collected. One line, as above. */
export function importScript(storePath: string, nixBin: string): string {
  const nixStore = shellQuote(`${nixBin}/nix-store`);
  return [
    'set -eu',
    `${nixStore} --import >/dev/null`,
    `mkdir -p ${INSTALL_DIR}`,
    `${nixStore} --realise ${shellQuote(storePath)} --add-root /nix/var/nix/gcroots/mesh >/dev/null`,
  ].join('; ');
}

/** The agent's user and its folder. */
export function userScript({ platform }: HostFacts): string {
  const own = `mkdir -p ${STATE_DIR}
chown -R ${AGENT_USER}:${AGENT_USER} ${STATE_DIR}`;
  if (platform?.platform !== 'darwin')
    return `if ! getent passwd ${AGENT_USER} >/dev/null; then
  shell=$(command -v nologin || echo /bin/false)
  if command -v useradd >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir ${STATE_DIR} --shell "$shell" ${AGENT_USER}
  else
    addgroup -S ${AGENT_USER}
    adduser -S -D -H -h ${STATE_DIR} -s "$shell" -G ${AGENT_USER} ${AGENT_USER}
  fi
fi
# Debian lets only a group, nix-users, through to nix-daemon.
if [ "$(stat -c %a /nix/var/nix/daemon-socket 2>/dev/null | tail -c 2)" = 0 ]; then
  group=$(stat -c %G /nix/var/nix/daemon-socket)
  if [ "$group" != root ]; then
    if command -v usermod >/dev/null; then usermod -aG "$group" ${AGENT_USER}; else addgroup ${AGENT_USER} "$group"; fi
  fi
fi
${own}
chmod 700 ${STATE_DIR}`;
  // Others must get through the folder to the agent's sockets, for which launchd has no other place that outlives a boot.
  return `if ! dscl . -read /Users/${AGENT_USER} >/dev/null 2>&1; then
  id=300
  while dscl . -list /Users UniqueID | awk '{ print $2 }' | grep -qx "$id" || dscl . -list /Groups PrimaryGroupID | awk '{ print $2 }' | grep -qx "$id"; do id=$((id + 1)); done
  dscl . -create /Groups/${AGENT_USER} PrimaryGroupID "$id"
  dscl . -create /Users/${AGENT_USER} UniqueID "$id"
  dscl . -create /Users/${AGENT_USER} PrimaryGroupID "$id"
  dscl . -create /Users/${AGENT_USER} UserShell /usr/bin/false
  dscl . -create /Users/${AGENT_USER} NFSHomeDirectory ${STATE_DIR}
  dscl . -create /Users/${AGENT_USER} IsHidden 1
fi
${own}
chmod 711 ${STATE_DIR}`;
}

/**
 * Writes nix.conf, and has nix-daemon read it; where that fails the file is as it was, so that the next run does not take it for done.
 * An empty text takes the file away: nobody but us wrote it.
 */
export function nixConfScript(path: string, text: string, service: Service): string {
  const [conf, before] = [shellQuote(path), shellQuote(`${path}.mesh-before`)];
  return `[ ! -e ${conf} ] || cp -p ${conf} ${before}
${text === '' ? `rm -f ${conf}` : writeFile(path, text)}
if (
${restartDaemonScript(service)}
); then rm -f ${before}; else
  if [ -e ${before} ]; then mv -f ${before} ${conf}; else rm -f ${conf}; fi
  echo 'nix-daemon could not be restarted' >&2
  exit 1
fi`;
}

function restartDaemonScript(service: Service): string {
  switch (service) {
    case 'systemd':
      // Builds go on: their processes are not the unit's main one. One that is not running reads the file when it starts.
      return 'systemctl try-restart nix-daemon.service';
    case 'launchd':
      return `launchctl kickstart -k system/org.nixos.nix-daemon 2>/dev/null || launchctl kickstart -k system/systems.determinate.nix-daemon`;
    case 'supervise':
      return `line=$(mktemp)
for pid in $(pgrep -x nix-daemon || true); do
  parent=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
  # Those below another one serve a connection each, and go on.
  if [ "$(cat "/proc/$parent/comm" 2>/dev/null)" = nix-daemon ]; then continue; fi
  cat "/proc/$pid/cmdline" >"$line"
  kill "$pid"
  while [ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; do sleep 0.1; done
  xargs -0 sh -c 'setsid "$@" </dev/null >/dev/null 2>&1 &' sh <"$line"
  tries=0
  until grep -q '00010000.*/nix/var/nix/daemon-socket/socket' /proc/net/unix; do
    tries=$((tries + 1)); [ "$tries" -lt 100 ] || exit 1; sleep 0.1
  done
done
rm -f "$line"`;
    case 'none':
      return ':';
  }
}

/** Makes this version the one that runs. */
export function activateScript(target: string, { launcher }: HostFacts): string {
  const link = (to: string, at: string) => `ln -s ${shellQuote(to)} ${at}.mesh-new
if mv --version >/dev/null 2>&1; then mv -fT ${at}.mesh-new ${at}; else mv -fh ${at}.mesh-new ${at}; fi`;
  const ours = launcher === undefined || launcher === `${CURRENT}/bin/mesh`;
  return `rm -f ${CURRENT}.mesh-new
${link(target, CURRENT)}
${ours ? `mkdir -p ${LAUNCHER.replace(/\/mesh$/, '')}\nln -sfn ${CURRENT}/bin/mesh ${LAUNCHER}` : ':'}`;
}

const stopSupervised = `if pid=$(cat /run/mesh/supervisor.pid 2>/dev/null); then
  kill "$pid" 2>/dev/null || true
  tries=0
  while [ -d "/proc/$pid" ] && [ "$tries" -lt 300 ]; do tries=$((tries + 1)); sleep 0.1; done
  [ ! -d "/proc/$pid" ] || { pkill -KILL -u ${AGENT_USER} || true; kill -KILL "$pid"; }
  rm -f /run/mesh/supervisor.pid
fi`;

/** Installs the service file and starts the agent, or starts it anew. */
export function startScript(service: Service, unit: string): string {
  switch (service) {
    case 'systemd':
      return `${writeFile(SYSTEMD_UNIT, unit)}
systemctl daemon-reload
systemctl enable --quiet mesh.service
systemctl restart mesh.service`;
    case 'launchd':
      return `${writeFile(LAUNCHD_PLIST, unit)}
launchctl bootout system/${LAUNCHD_LABEL} 2>/dev/null || true
launchctl bootstrap system ${LAUNCHD_PLIST}`;
    case 'supervise':
      return `${stopSupervised}
script=${CURRENT}/packaging/supervise/mesh-supervise
# Nix's package has its files one floor down.
[ -e "$script" ] || script=${CURRENT}/lib/mesh/packaging/supervise/mesh-supervise
setsid sh "$script" </dev/null >>${LOG_FILE} 2>&1 &`;
    case 'none':
      return ':';
  }
}

/** Stops the agent and takes its service file away. */
export function stopScript(service: Service): string {
  switch (service) {
    case 'systemd':
      return `systemctl disable --now --quiet mesh.service 2>/dev/null || true
rm -f ${SYSTEMD_UNIT}
systemctl daemon-reload
systemctl reset-failed mesh.service 2>/dev/null || true`;
    case 'launchd':
      return `launchctl bootout system/${LAUNCHD_LABEL} 2>/dev/null || true
rm -f ${LAUNCHD_PLIST}`;
    default:
      return stopSupervised;
  }
}

/** Takes away the versions that nobody runs, and uploads that were broken off. */
export function cleanScript(id: string): string {
  return `cd ${INSTALL_DIR}/versions 2>/dev/null || exit 0
for version in * .new-*; do
  [ "$version" = ${shellQuote(id)} ] || rm -rf "$version"
done`;
}

/** Takes the programs away, and roots that kept them. */
export function removeFilesScript({ launcher }: HostFacts): string {
  return `${launcher === `${CURRENT}/bin/mesh` ? `rm -f ${LAUNCHER}` : ':'}
rm -rf ${INSTALL_DIR} /run/mesh
rm -f ${LOG_FILE} /nix/var/nix/gcroots/mesh`;
}

/** Takes away what the agent knew and kept, and Nix's notes of it. */
export const REMOVE_STATE = `rm -rf ${STATE_DIR}
for root in /nix/var/nix/gcroots/auto/*; do
  case $(readlink "$root" || true) in ${STATE_DIR}/*) rm -f "$root" ;; esac
done
rmdir /nix/var/nix/profiles/per-user/${AGENT_USER} /nix/var/nix/gcroots/per-user/${AGENT_USER} 2>/dev/null || true`;

/** Takes the agent's user away, once none of its processes is left. */
export function removeUserScript({ platform }: HostFacts): string {
  if (platform?.platform === 'darwin')
    return `dscl . -delete /Users/${AGENT_USER}
dscl . -delete /Groups/${AGENT_USER}`;
  return `pkill -KILL -u ${AGENT_USER} || true
if command -v userdel >/dev/null; then userdel ${AGENT_USER}; else deluser ${AGENT_USER}; fi
! getent group ${AGENT_USER} >/dev/null || groupdel ${AGENT_USER}`;
}
