import { readFileSync } from 'node:fs';

/** The kernel counts processor time in hundredths of a second for programs to see (USER_HZ, on every Linux there is). */
const TICKS_PER_S = 100;

/** Resident memory of a process, `VmRSS` of `/proc/PID/status`. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/status has no VmRSS.`);
  return Number(kilobytes) * 1024;
}

/** Processor time of all threads of a process so far, user and system: fields 14 and 15 of `/proc/PID/stat`. */
export function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in field 2 may hold spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}
