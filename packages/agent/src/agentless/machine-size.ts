import type { SshSessions } from './ssh-sessions.ts';

/** What builds on a machine without an agent may have; undefined where the machine does not say. */
export interface MachineSize {
  readonly cores: number | undefined;
  readonly memoryBytes: number | undefined;
}

/** A shell command that every Linux and macOS knows some of; what it prints is for `readMachineSize`. */
export const MACHINE_SIZE_COMMAND = [
  'echo cores $(getconf _NPROCESSORS_ONLN || nproc || sysctl -n hw.ncpu)',
  'echo memory $(sed -n "s/^MemTotal: *//p" /proc/meminfo || true) $(sysctl -n hw.memsize || true)',
].join('; ');

/** Characters of an answer that is two short lines. */
const MOST_SAID = 1_000;

const MOST_CORES = 100_000;
const KIB = 1024;

/**
 * Reads what `MACHINE_SIZE_COMMAND` printed, or whatever else a machine answers that lets a key run nix-daemon alone. Memory is in
 * kB (meaning KiB) in Linux's `/proc/meminfo`, in bytes on macOS.
 */
export function readMachineSize(printed: string): MachineSize {
  const cores = Number(/^cores (\d{1,6})$/m.exec(printed)?.[1] ?? 0);
  const memory = /^memory (\d{1,15})( kB)?\b/m.exec(printed);
  const bytes = Number(memory?.[1] ?? 0) * (memory?.[2] === undefined ? 1 : KIB);
  return {
    cores: cores > 0 && cores < MOST_CORES ? cores : undefined,
    memoryBytes: bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined,
  };
}

/** A machine whose shell says nothing of the kind, e.g. one that lets a key run nix-daemon alone, is counted by its slots. */
export async function askMachineSize(sessions: Pick<SshSessions, 'run'>): Promise<MachineSize> {
  const { stream, stderr } = await sessions.run(MACHINE_SIZE_COMMAND);
  stderr.resume();
  stream.end();
  let said = '';
  for await (const chunk of stream) {
    said += String(chunk);
    if (said.length > MOST_SAID) break;
  }
  return readMachineSize(said);
}
