import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { Clock } from '@mesh/net';
import { DAEMON_SEARCH_INTERVAL_MS } from './constants.ts';
import { readKernelFile, readKernelFolder } from './kernel-file.ts';

/** What a control group allows and has left. */
export interface MemoryLimit {
  limitBytes: number;
  availableBytes: number;
}

/** How the two versions of control groups name the same things (Documentation/admin-guide/cgroup-v{1,2}). */
const VERSIONS = {
  v1: { limit: 'memory.limit_in_bytes', usage: 'memory.usage_in_bytes', cache: 'total_inactive_file' },
  v2: { limit: 'memory.max', usage: 'memory.current', cache: 'inactive_file' },
} as const;

interface Mount {
  readonly version: (typeof VERSIONS)[keyof typeof VERSIONS];
  /** The group that is seen at `path`. */
  readonly root: string;
  readonly path: string;
}

export interface MemoryLimitComponents {
  clock: Clock;
  /** procfs, where it is not /proc. */
  procDir?: string;
}

/**
 * The control groups that limit the memory of builds. Those of nix-daemon, whose children builds are; our own where no daemon is to be
 * seen. A service's limit on the agent says nothing of builds, one on a container holds both.
 */
export class BuildMemoryLimit {
  readonly #clock: Clock;
  readonly #procDir: string;
  #daemon: string | undefined;
  #searchedMs = Number.NEGATIVE_INFINITY;

  constructor({ clock, procDir = '/proc' }: MemoryLimitComponents) {
    this.#clock = clock;
    this.#procDir = procDir;
  }

  /** The tightest of all groups from the builds' own to the root; undefined without any limit. */
  async read(): Promise<MemoryLimit | undefined> {
    const mountInfo = await readKernelFile(join(this.#procDir, 'self/mountinfo'));
    const mounts = memoryMounts(mountInfo ?? '');
    if (mounts.length === 0) return undefined;
    const groups = (await this.#groups()) ?? '';
    const limits = await Promise.all(
      mounts.flatMap((mount) => directoriesOf(mount, groups).map((directory) => limitOf(mount, directory))),
    );
    const known = limits.filter((limit) => limit !== undefined);
    if (known.length === 0) return undefined;
    return {
      limitBytes: Math.min(...known.map((limit) => limit.limitBytes)),
      availableBytes: Math.min(...known.map((limit) => limit.availableBytes)),
    };
  }

  /** /proc/PID/cgroup of the daemon, or our own. */
  async #groups(): Promise<string | undefined> {
    if (this.#daemon !== undefined && !this.#isDaemon(this.#daemon)) this.#daemon = undefined;
    if (
      this.#daemon === undefined &&
      this.#clock.monotonic() - this.#searchedMs >= DAEMON_SEARCH_INTERVAL_MS
    ) {
      this.#searchedMs = this.#clock.monotonic();
      const names = await readKernelFolder(this.#procDir);
      this.#daemon = names.find((name) => /^\d+$/.test(name) && this.#isDaemon(name));
    }
    return readKernelFile(join(this.#procDir, this.#daemon ?? 'self', 'cgroup'));
  }

  /** Reads at once: there is nothing to wait for, and waiting for hundreds of such files costs ten times as much. */
  #isDaemon(pid: string): boolean {
    try {
      return readFileSync(join(this.#procDir, pid, 'comm'), 'utf8').trim() === 'nix-daemon';
    } catch {
      // It has ended.
      return false;
    }
  }
}

/** Lines of mountinfo: `36 23 0:33 ROOT PATH … - cgroup cgroup rw,memory`, or `cgroup2` with everything. */
function memoryMounts(mountInfo: string): Mount[] {
  return mountInfo.split('\n').flatMap((line): Mount[] => {
    const [, , , root = '/', path = '/'] = line.split(' ');
    const type = / - (cgroup2?) \S+ (\S+)$/.exec(line);
    if (type?.[1] === 'cgroup2') return [{ version: VERSIONS.v2, root, path }];
    const memory = type?.[1] === 'cgroup' && type[2]?.split(',').includes('memory');
    return memory ? [{ version: VERSIONS.v1, root, path }] : [];
  });
}

/** The folder of a process's group under a mount and all above it, the mount's own last. */
function directoriesOf(mount: Mount, groups: string): string[] {
  const pattern = mount.version === VERSIONS.v2 ? /^0::(.*)$/m : /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m;
  const group = pattern.exec(groups)?.[1];
  if (group === undefined) return [];
  // A container may see its group by a name from outside; what is mounted is then that group itself.
  const relative = posix.relative(mount.root, group);
  const steps = relative === '' || relative.startsWith('..') ? [] : relative.split('/');
  return [...steps.keys(), steps.length].map((depth) => join(mount.path, ...steps.slice(0, depth))).reverse();
}

async function limitOf(mount: Mount, directory: string): Promise<MemoryLimit | undefined> {
  const { version } = mount;
  const [limit, usage, statistics] = await Promise.all(
    [version.limit, version.usage, 'memory.stat'].map((name) => readKernelFile(join(directory, name))),
  );
  const limitBytes = Number(limit);
  // `max` in version 2, almost 2^63 in version 1: no limit.
  if (limit === undefined || usage === undefined || !Number.isSafeInteger(limitBytes)) return undefined;
  const cache = new RegExp(`^${version.cache} (\\d+)`, 'm').exec(statistics ?? '')?.[1] ?? '0';
  const availableBytes = limitBytes - Number(usage) + Number(cache);
  return { limitBytes, availableBytes: Math.max(0, Math.min(limitBytes, availableBytes)) };
}
