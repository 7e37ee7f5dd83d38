import type { BuilderMachine } from '@mesh/ssh';
import { builderId } from './builder-id.ts';

/** A machine of a machines file, and what it is called. */
export interface DistinctMachine {
  readonly machine: BuilderMachine;
  /** For people, and for `--on`: the host, as far as no line before has it. */
  readonly name: string;
  readonly peerId: string;
}

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

/**
 * The machines that may become workers. Without those that have no slots, and this machine itself: such a line is there to bring plain
 * Nix into the mesh. A machine on two lines is two, as for Nix, where the lines are for other systems or features; where they are not,
 * the first counts.
 */
export function distinctMachines(machines: readonly BuilderMachine[]): DistinctMachine[] {
  const distinct = new Map<string, DistinctMachine>();
  const names = new Set<string>();
  const ids = new Set<string>();
  for (const machine of machines) {
    const { uri, maxJobs } = machine;
    const kind = kindOf(machine);
    if (maxJobs === 0 || LOOPBACK.includes(uri.host) || distinct.has(kind)) continue;
    const address = uri.text.replace('ssh-ng://', '');
    let name = names.has(uri.host) ? address : uri.host;
    for (let number = 2; names.has(name); number++) name = `${address}#${number}`;
    names.add(name);
    const first = builderId(uri.text);
    const peerId = ids.has(first) ? builderId(kind) : first;
    ids.add(peerId);
    distinct.set(kind, { machine, name, peerId });
  }
  return [...distinct.values()];
}

/** The same for lines that are for the same. */
function kindOf({ uri, systems, supportedFeatures, mandatoryFeatures }: BuilderMachine): string {
  const words = [systems, supportedFeatures, mandatoryFeatures].map((each) => each.toSorted().join(','));
  return [uri.text, ...words].join(' ');
}
