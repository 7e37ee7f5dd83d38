import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Availability } from './available.ts';
import { type ControlGroup, controlGroup, controllerAvailable, moveIn } from './control-groups.ts';
import { LabError } from './errors.ts';

/** Whether this machine can count the processor time of a host. */
export function processorTimeAvailable(): Availability {
  const counting = controllerAvailable('cpuacct');
  return counting.ok ? counting : controllerAvailable('cpu');
}

/**
 * Processor time of all processes of a host together, in seconds, since this was first asked; of those that have ended too.
 * @throws {LabError} `LAB_NO_PROCESSOR_TIME` where the machine has no usable controller.
 */
export function processorSeconds(lab: string, host: string, init: number): number {
  const group = controlGroup('cpuacct', lab, host) ?? controlGroup('cpu', lab, host);
  if (group === undefined)
    throw new LabError(
      'LAB_NO_PROCESSOR_TIME',
      'The processor time of a host cannot be counted here: there is no cgroup controller for it (cpuacct, or cpu of version 2).',
    );
  moveIn(group, init);
  return read(group);
}

/** Nanoseconds in version 1, `usage_usec` in version 2. */
function read({ version, folder }: ControlGroup): number {
  if (version === 1) return Number(readFileSync(join(folder, 'cpuacct.usage'), 'utf8')) / 1e9;
  const [, usage] = /^usage_usec (\d+)$/m.exec(readFileSync(join(folder, 'cpu.stat'), 'utf8')) ?? [];
  return Number(usage) / 1e6;
}
