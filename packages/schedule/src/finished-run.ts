import { offers } from './eligibility.ts';
import type { DrvPath, PeerId, Place, WorkerInfo } from './types.ts';

/** One derivation of a job as it went. Times are milliseconds from the job's start. */
export interface FinishedDerivation {
  readonly drvPath: DrvPath;
  readonly dependencies: readonly DrvPath[];
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  readonly place: Place;
  /** When the home knew of it. */
  readonly addedMs: number;
  readonly finishedMs: number;
  readonly outputBytes: number;
  /** The build that made it; absent where another job did, or it existed. */
  readonly build?: FinishedBuild | undefined;
  /** Every time a machine was at it, the build that counts among them. */
  readonly attempts: readonly OccupiedSlot[];
}

export interface FinishedBuild {
  readonly peerId: PeerId;
  readonly leasedMs: number;
  readonly fetchedMs: number;
  readonly startedMs: number;
  /** By the machine's own clock. */
  readonly durationMs: number;
}

/** `failed`: by the machine. `startedMs` is null where it had not begun to build. */
export interface OccupiedSlot {
  readonly peerId: PeerId;
  readonly leasedMs: number;
  readonly startedMs: number | null;
  readonly endedMs: number;
  readonly failed: boolean;
}

/** How fast a machine builds for a system, relative to an ordinary one. Emulation counts. */
export function speedFor(machine: WorkerInfo | undefined, system: string): number {
  if (machine === undefined) return 1;
  const speed = (machine.speed ?? 1) * (machine.emulated?.[system] ?? 1);
  return Number.isFinite(speed) && speed > 0 ? speed : 1;
}

/** Whether this machine could have built it, by what it is and where the derivation may go. */
export function couldBuild(machine: WorkerInfo, derivation: FinishedDerivation): boolean {
  if (machine.slots <= 0) return false;
  return (machine.isHome || derivation.place === 'anywhere') && offers(machine, derivation);
}

/** Milliseconds its build would have taken on a machine of speed 1; 0 where nothing was built. */
export function workOf(derivation: FinishedDerivation, machines: ReadonlyMap<PeerId, WorkerInfo>): number {
  const { build } = derivation;
  if (build === undefined) return 0;
  return build.durationMs * speedFor(machines.get(build.peerId), derivation.system);
}

/** When all it needs existed. */
export function readyAt(
  derivation: FinishedDerivation,
  all: ReadonlyMap<DrvPath, FinishedDerivation>,
): { readonly ms: number; readonly by: FinishedDerivation | undefined } {
  let ms = derivation.addedMs;
  let by: FinishedDerivation | undefined;
  for (const path of derivation.dependencies) {
    const dependency = all.get(path);
    if (dependency === undefined || dependency.finishedMs < ms) continue;
    ms = dependency.finishedMs;
    by = dependency;
  }
  return { ms, by };
}
