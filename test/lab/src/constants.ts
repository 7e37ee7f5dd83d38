/** Where running labs keep what they must be found and cleaned by; on a tmpfs, so that a reboot forgets it. */
export const STATE_ROOT = '/run/mesh-lab';

/** Version of `state.json`. A lab of another version is not touched. */
export const STATE_VERSION = 1;

/** Hosts are 10.77.0.1 upwards; the bridge is private to each lab, so that labs may share addresses. */
export const SUBNET_PREFIX = '10.77.0.';
export const SUBNET_BITS = 16;

/** One octet of addresses and one letter-and-number interface name per host: more than one machine can carry anyway. */
export const MAX_HOSTS = 64;

/** Carried by every process of a lab, so that whatever might outlive it can be found. */
export const LAB_VARIABLE = 'MESH_LAB';

/** Names become folder names under {@link STATE_ROOT} and cgroup names. */
export const LAB_NAME = /^[a-z][a-z0-9-]{0,30}$/;

/** A host boots in 0.2 s on an idle machine; a loaded one may take long, a broken one for ever. */
export const BOOT_TIMEOUT_MS = 30_000;

/** Commands that answer a test; a build gets its own, longer time. */
export const EXEC_TIMEOUT_MS = 120_000;

/** What one stream of a command may hold in memory before the rest is dropped. */
export const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Lines kept per stream of a process that runs in the background. */
export const MAX_LINES = 200_000;

/** How long the kernel may take to end all processes of a lab. */
export const DOWN_TIMEOUT_MS = 20_000;

/** How often something that has no event (a socket, a folder that goes away) is looked at. */
export const LOOK_AGAIN_MS = 10;

export const HOST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The worker protocol's socket inside a host. */
export const DAEMON_SOCKET = '/nix/var/nix/daemon-socket/socket';

/** The kernel's period for processor quotas, which cannot express less than 1 ms of it. */
export const CPU_PERIOD_US = 100_000;
export const MIN_CPU_QUOTA_US = 1_000;
