import { constants, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_ENVIRONMENT_BYTES } from './constants.ts';
import { readKernelFile } from './kernel-file.ts';

/**
 * What stands in the memory of other processes. Reading it takes that process's memory lock, which a process that waits for a broken
 * disk may hold for ever: only asynchronously, so that no more than one of Node's reading threads waits with it. Needs to be root or
 * the process's own user.
 */
export class ProcessMemory {
  readonly #procDir: string;

  constructor(procDir = '/proc') {
    this.#procDir = procDir;
  }

  /** `NAME=value` entries; empty where it may not be read, or the process has none yet. */
  async environment(pid: number): Promise<string[]> {
    const text = await readFile(join(this.#procDir, String(pid), 'environ'), 'latin1').catch(() => '');
    return text === '' ? [] : text.split('\0');
  }

  /** A regular file as the process sees it; undefined where there is none or it is larger than anything Nix puts there. */
  async fileSeenBy(pid: number, path: string): Promise<string | undefined> {
    // What a build names may be anything, a pipe that never ends included.
    if (!path.startsWith('/') || path.split('/').includes('..')) return undefined;
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    try {
      await using file = await open(join(this.#procDir, String(pid), 'root', path), flags);
      const stat = await file.stat();
      if (!stat.isFile() || stat.size > MAX_ENVIRONMENT_BYTES) return undefined;
      return await file.readFile('utf8');
    } catch {
      return undefined;
    }
  }

  /** Memory that no file backs, each page divided by the processes that share it; undefined before Linux 5.9. */
  async proportionalBytes(pid: number): Promise<number | undefined> {
    const text = await readKernelFile(join(this.#procDir, String(pid), 'smaps_rollup'));
    const kib = /^Pss_Anon:\s+(\d+) kB/m.exec(text ?? '')?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  }
}
