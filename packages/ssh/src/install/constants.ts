/** Where an installed agent's files are: versions beside each other, and `current`, which leads to the one in use. */
export const INSTALL_DIR = '/opt/mesh';
export const CURRENT = `${INSTALL_DIR}/current`;
/** The user the agent runs as: no login, its home is the state directory. */
export const AGENT_USER = 'mesh';
export const STATE_DIR = '/var/lib/mesh';
/** Of a machine without systemd, whose journal would have it. */
export const LOG_FILE = '/var/log/mesh.log';
export const LAUNCHER = '/usr/local/bin/mesh';
export const SYSTEMD_UNIT = '/etc/systemd/system/mesh.service';
export const LAUNCHD_LABEL = 'org.mesh.agent';
export const LAUNCHD_PLIST = `/Library/LaunchDaemons/${LAUNCHD_LABEL}.plist`;

/** An agent's TCP port unless configured otherwise, and mDNS's. */
export const AGENT_PORT = 4747;
/** Where members fetch store paths, unless it is configured otherwise. */
export const TRANSFER_PORT = 4748;
export const MDNS_PORT = 5353;

/** Unpacked it is about 140 MB, packed 45 MB, and a version stands beside the one it replaces. */
export const NEEDED_BYTES = 500 * 1024 * 1024;

/** The oldest Nix an agent can work with, as major and minor. */
export const OLDEST_NIX = [2, 8] as const;

/** What a probe may say: some thirty lines, among them a unit file and a nix.conf. */
export const MAX_PROBE_BYTES = 1024 * 1024;

/** An agent that was just started answers within two seconds; a crowded or emulated machine may take long. */
export const AGENT_START_TIMEOUT_S = 90;
/** A new member is connected within two seconds of joining; one behind a slow link gets time. */
export const SEEN_TIMEOUT_MS = 60_000;
export const SEEN_LOOK_MS = 300;

/** Hosts installed at once: each costs this machine the encryption of 45 MB, which is what a processor is busy with. */
export const PARALLEL_HOSTS = 8;

/** Raised when an older `mesh install` could not use such a bundle. */
export const BUNDLE_VERSION = 1;
/** On a LAN packing takes longer than sending: the fastest level, which makes 45 MB of 140. */
export const FAST_GZIP_LEVEL = 1;
