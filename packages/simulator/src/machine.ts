/** A machine of a simulated mesh. */
export interface Machine {
  readonly name: string;
  /** Relative to an ordinary machine: a build of one second takes 1 / speed. */
  readonly speed: number;
  readonly cores: number;
  /** Builds at once. */
  readonly slots: number;
  readonly memoryBytes: number;
  /** What its network link carries each way, shared by all transfers. */
  readonly downBytesPerMs: number;
  readonly upBytesPerMs: number;
  readonly systems: readonly string[];
  /** Of `systems`, those it emulates, with how fast a build is compared to a native one. */
  readonly emulated: Readonly<Record<string, number>>;
  readonly features: readonly string[];
}

/** Machines that trust each other; the first is where jobs are submitted, with several homes the first ones. */
export interface Mesh {
  readonly name: string;
  readonly machines: readonly Machine[];
}

/** How fast this machine runs builds of that system; 0 where it cannot. */
export function speedFor(machine: Machine, system: string): number {
  if (system !== 'builtin' && !machine.systems.includes(system)) return 0;
  return machine.speed * (machine.emulated[system] ?? 1);
}

export function canBuild(machine: Machine, system: string, features: readonly string[]): boolean {
  return speedFor(machine, system) > 0 && features.every((feature) => machine.features.includes(feature));
}
