import { readFileSync, writeFileSync } from 'node:fs';

/** The kernel counts processor time in hundredths of a second for programs to see (USER_HZ, on every Linux there is). */
const TICKS_PER_S = 100;

/** Resident memory of a process, `VmRSS` of `/proc/PID/status`. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, 'VmRSS');
}

/** The most resident memory a process ever had, or had since {@link resetPeakResidentBytes}. */
export function peakResidentBytes(pid: number): number {
  return statusBytes(pid, 'VmHWM');
}

/** `echo 5 >/proc/PID/clear_refs`, as proc(5) has it. */
export function resetPeakResidentBytes(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

function statusBytes(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/status has no ${field}.`);
  return Number(kilobytes) * 1024;
}

/** Processor time of all threads of a process so far, user and system: fields 14 and 15 of `/proc/PID/stat`. */
export function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in field 2 may hold spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}
