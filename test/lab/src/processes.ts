import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** One process as the machine sees it. */
export interface ProcessInfo {
  /** On the machine, not inside the host. */
  readonly pid: number;
  readonly parent: number;
  /** As in `ps`: R running, S sleeping, D waiting for a device, T stopped. */
  readonly state: string;
  /** The kernel's short name, at most 15 characters. */
  readonly name: string;
  /** Real user id. Builds run as one of the users nixbld1 … nixbld16. */
  readonly uid: number;
  readonly args: readonly string[];
}

/** Undefined where the process has ended meanwhile, or is not ours to look into (so none of a lab's). */
function readProc<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return undefined;
    throw error;
  }
}

/** Field 22 of `/proc/PID/stat`: with the pid it names one process for good. Undefined when it has ended. */
export function startTimeOf(pid: number): string | undefined {
  const stat = readProc(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields === undefined || fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** The direct children of a process; empty when it has ended. */
export function childrenOf(pid: number): number[] {
  const text = readProc(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')) ?? '';
  return text.trim() === '' ? [] : text.trim().split(' ').map(Number);
}

/** The kernel's short name of a process. Undefined when it has ended. */
export function nameOf(pid: number): string | undefined {
  return readProc(() => readFileSync(`/proc/${pid}/comm`, 'utf8'))?.trim();
}

/**
 * Every living process inside the PID namespace of `init`, those in namespaces within it (build sandboxes) included;
 * `init` itself first.
 */
export function processesUnder(init: number): ProcessInfo[] {
  const namespace = readProc(() => readlinkSync(`/proc/${init}/ns/pid`));
  if (namespace === undefined) return [];
  const all = new Map<number, ProcessInfo>();
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    const info = Number.isInteger(pid) ? processInfo(pid) : undefined;
    if (info !== undefined) all.set(pid, info);
  }
  const inside = new Map<number, boolean>();
  const isInside = (pid: number): boolean => {
    const known = inside.get(pid);
    if (known !== undefined) return known;
    const info = all.get(pid);
    if (info === undefined) return false;
    const answer = readProc(() => readlinkSync(`/proc/${pid}/ns/pid`)) === namespace || isInside(info.parent);
    inside.set(pid, answer);
    return answer;
  };
  return [...all.values()].filter((info) => isInside(info.pid)).sort((a, b) => rank(a) - rank(b));

  function rank(info: ProcessInfo): number {
    return info.pid === init ? 0 : info.pid;
  }
}

function processInfo(pid: number): ProcessInfo | undefined {
  return readProc(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return undefined;
    const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return {
      pid,
      parent: Number(parent),
      state,
      name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
      uid: Number(uid),
      args: readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1),
    };
  });
}
