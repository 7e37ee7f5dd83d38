/**
 * How a build's wall time depends on the cores it gets: Amdahl's law. Of the time on one core the share `1 - p` stays as it is and
 * `p` is divided by the cores. A build that keeps `b` of its `c` cores busy (processor time over wall time) has
 * `b = 1 / (1 - p + p / c)`; one that waits more than it computes (`b <= 1`) takes as long on any number of cores.
 */

/** The share `p`, 0 to 1; undefined where a build with one core, or without measured processor time, cannot tell. */
export function parallelShare(
  wallMs: number,
  cpuMs: number | undefined,
  cores: number | undefined,
): number | undefined {
  if (cpuMs === undefined || cores === undefined || cores <= 1) return undefined;
  const busy = Math.min(cores, Math.max(1, cpuMs / wallMs));
  return (1 - 1 / busy) / (1 - 1 / cores);
}

/** What the build would have taken on one core. */
export function oneCoreMs(wallMs: number, cpuMs: number | undefined): number {
  return Math.max(wallMs, cpuMs ?? 0);
}

/** What a build that takes `oneCoreMs` on one core takes on `cores`; `share` as {@link parallelShare} says. */
export function wallMsOn(oneCoreMs: number, share: number, cores: number): number {
  const parallel = Math.min(1, Math.max(0, share));
  return oneCoreMs * (1 - parallel + parallel / Math.max(1, cores));
}
