import type { Derivation, WorkerRecord } from './home-state.ts';

/**
 * Whether a machine without other builds has the memory that builds of this name are remembered to take: what is free where
 * nothing builds, all of it where something does.
 */
export function hasRoom({ node }: Derivation, { info, leases }: WorkerRecord): boolean {
  const peak = node.history?.memoryPeakBytes;
  if (peak === undefined) return true;
  const free = leases.size === 0 ? info.freeMemoryBytes : undefined;
  const room = free ?? info.memoryBytes;
  return room === undefined || peak <= room;
}

/** Which of the workers have the memory for a derivation; undefined where all have, or none: then each may as well try. */
export function roomyAmong(
  derivation: Derivation,
  workers: readonly WorkerRecord[],
): ((worker: WorkerRecord) => boolean) | undefined {
  if (derivation.node.history?.memoryPeakBytes === undefined) return undefined;
  const isRoomy = (worker: WorkerRecord) => hasRoom(derivation, worker);
  return workers.some(isRoomy) && !workers.every(isRoomy) ? isRoomy : undefined;
}
