import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Availability } from './available.ts';
import { CPU_PERIOD_US, MIN_CPU_QUOTA_US } from './constants.ts';
import { controlGroup, controllerAvailable, moveIn } from './control-groups.ts';
import { LabError } from './errors.ts';

/** Whether this machine lets us limit a host's processor time. */
export function cpuQuotaAvailable(): Availability {
  return controllerAvailable('cpu');
}

/**
 * Gives all processes of a host together `processors` of processor time (0.5 is half of one), now and later.
 * @throws {LabError} `LAB_NO_CPU_QUOTA` where the machine has no usable controller.
 */
export function limitCpu(lab: string, host: string, init: number, processors: number): void {
  const available = cpuQuotaAvailable();
  if (!available.ok)
    throw new LabError('LAB_NO_CPU_QUOTA', `A host cannot be slowed here: ${available.reason}.`);
  const group = controlGroup('cpu', lab, host)!;
  const quotaUs = Math.max(MIN_CPU_QUOTA_US, Math.round(processors * CPU_PERIOD_US));
  if (group.version === 1) {
    writeFileSync(join(group.folder, 'cpu.cfs_period_us'), String(CPU_PERIOD_US));
    writeFileSync(join(group.folder, 'cpu.cfs_quota_us'), String(quotaUs));
  } else {
    writeFileSync(join(group.folder, 'cpu.max'), `${quotaUs} ${CPU_PERIOD_US}`);
  }
  moveIn(group, init);
}
