/** Running builds are looked at this often. A build's peak is its plateau: seconds are enough to see it. */
export const SAMPLE_INTERVAL_MS = 1_000;
/** The first look at a new build: shorter ones are not worth remembering anything of. */
export const FIRST_SAMPLE_MS = 300;
/** Looking may take this share of one processor; a machine with very many processes is looked at less often. */
export const SAMPLE_SHARE = 0.005;
/** But at least this often. */
export const MAX_SAMPLE_INTERVAL_MS = 10_000;
/** Processes of builds looked at in one round; a build with more is measured by those. */
export const MAX_SAMPLED_PROCESSES = 4_096;
/** Environment and attributes read of one process to learn what it builds. */
export const MAX_ENVIRONMENT_BYTES = 4 * 1024 * 1024;
/**
 * Two processes of a build with at least this much memory of their own may be a process and its fork, which share most of it: only then
 * is the exact and costly question asked.
 */
export const FORK_SUSPECT_BYTES = 64 * 1024 * 1024;

/** Emulation of a foreign processor (qemu-user) until measured: compilers run 5 to 20 times slower under it. */
export const QEMU_FACTOR = 0.1;
/** Translation of x86_64 on Apple's processors, until measured. */
export const ROSETTA_FACTOR = 0.7;

/** Which power supply is in use is asked this often at most: on macOS it costs a process. */
export const POWER_INTERVAL_MS = 10_000;
/** nix-daemon's control group is looked for this often while it cannot be found. */
export const DAEMON_SEARCH_INTERVAL_MS = 60_000;

/** A machine's speed is believed this long: processors throttle, virtual machines move. */
export const SPEED_LIFETIME_MS = 30 * 24 * 3_600_000;
/** A new agent has other things to do first. */
export const SPEED_DELAY_MS = 3_000;
/** A machine that is busy is asked again after this. */
export const SPEED_RETRY_MS = 15_000;
/** Idle enough to measure: something waited for a processor in less than this share of the last ten seconds (percent). */
export const IDLE_CPU_PRESSURE = 10;
/** Slower and faster than any machine that builds. */
export const MIN_SPEED = 0.05;
export const MAX_SPEED = 20;
