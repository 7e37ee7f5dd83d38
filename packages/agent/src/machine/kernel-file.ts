import { readdir, readFile } from 'node:fs/promises';

/**
 * A text the kernel makes (procfs, sysfs, cgroupfs), trimmed. Undefined where it has no such file or refuses it: PSI switched off
 * answers EOPNOTSUPP, a process that ended ESRCH.
 */
export async function readKernelFile(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch {
    return undefined;
  }
}

/** Names in a folder the kernel makes; none where it has no such folder or does not show it. */
export async function readKernelFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch {
    return [];
  }
}
