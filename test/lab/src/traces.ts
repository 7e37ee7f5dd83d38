import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { LAB_VARIABLE } from './constants.ts';
import { cgroupsOf } from './control-groups.ts';
import { labDir } from './state.ts';

/** Whatever there still is of a lab on this machine, in words; empty when it left nothing. */
export function tracesOf(lab: string): string[] {
  return [
    ...processesOf(lab).map((pid) => `process ${pid}`),
    ...readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((mount) => mount.includes(labDir(lab)))
      .map((mount) => `mount ${mount}`),
    ...cgroupsOf(lab).map((group) => `control group ${group}`),
    ...(existsSync(labDir(lab)) ? [`folder ${labDir(lab)}`] : []),
  ];
}

function processesOf(lab: string): number[] {
  const mark = `${LAB_VARIABLE}=${lab}`;
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && environmentOf(pid).includes(mark));
}

function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch (error) {
    // Ended meanwhile, or a process of the system that nobody may look into: none of a lab's.
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return [];
    throw error;
  }
}
