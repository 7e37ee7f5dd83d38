import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { endianness } from 'node:os';

/** One living process. Identifiers of processes are used again; with `inode` it is one process for sure. */
export interface ProcessEntry {
  readonly pid: number;
  /** Of its folder in procfs. */
  readonly inode: number;
  /** The user it runs as. */
  readonly uid: number;
}

/** What a process has used. */
export interface ProcessUse {
  /** Its own processor time and that of all descendants that ended and were waited for. */
  readonly cpuMs: number;
  /** Memory that no file backs; what a fork still shares with its parent counts for both. */
  readonly privateBytes: number;
}

/** Positions in /proc/PID/stat after the command's closing parenthesis. */
const PARENT = 1;
const UTIME = 11;
const CSTIME = 14;
/** /proc/PID/stat and statm are shorter. */
const LINE_BYTES = 4_096;

/**
 * The processes of this machine, as procfs shows them (proc(5)). It never waits: these files have no disk and no lock behind them, and
 * reading hundreds of them asynchronously costs ten times as much. What takes a process's memory lock is read elsewhere.
 */
export class ProcessTable {
  readonly #procDir: string;
  readonly #pageBytes: number;
  readonly #tickMs: number;
  readonly #line = Buffer.alloc(LINE_BYTES);

  constructor(procDir = '/proc') {
    this.#procDir = procDir;
    const auxiliary = readAuxiliary(`${procDir}/self/auxv`);
    this.#pageBytes = auxiliary.get(AT_PAGESZ) ?? 4_096;
    this.#tickMs = 1_000 / (auxiliary.get(AT_CLKTCK) ?? 100);
  }

  /** All processes that can be seen; none where there is no procfs. */
  list(): ProcessEntry[] {
    const entries: ProcessEntry[] = [];
    for (const name of orNothing(() => readdirSync(this.#procDir)) ?? []) {
      if (!/^\d+$/.test(name)) continue;
      const stat = orNothing(() => statSync(`${this.#procDir}/${name}`));
      if (stat !== undefined) entries.push({ pid: Number(name), inode: stat.ino, uid: stat.uid });
    }
    return entries;
  }

  /** Undefined where it has ended. */
  parent(pid: number): number | undefined {
    const parent = this.#stat(pid)?.[PARENT];
    return parent === undefined ? undefined : Number(parent);
  }

  /** Undefined where it has ended. */
  use(pid: number): ProcessUse | undefined {
    const stat = this.#stat(pid);
    const [, resident, shared] = this.#read(pid, 'statm')?.split(' ') ?? [];
    if (stat === undefined || resident === undefined || shared === undefined) return undefined;
    const ticks = stat.slice(UTIME, CSTIME + 1).reduce((sum, field) => sum + Number(field), 0);
    const pages = Math.max(0, Number(resident) - Number(shared));
    return { cpuMs: ticks * this.#tickMs, privateBytes: pages * this.#pageBytes };
  }

  /** A command may contain anything, spaces and parentheses included. */
  #stat(pid: number): string[] | undefined {
    const line = this.#read(pid, 'stat');
    return line?.slice(line.lastIndexOf(')') + 2).split(' ');
  }

  #read(pid: number, file: string): string | undefined {
    return orNothing(() => {
      const handle = openSync(`${this.#procDir}/${pid}/${file}`, 'r');
      try {
        return this.#line.toString('latin1', 0, readSync(handle, this.#line, 0, LINE_BYTES, 0));
      } finally {
        closeSync(handle);
      }
    });
  }
}

const AT_PAGESZ = 6;
const AT_CLKTCK = 17;

/** Our own auxiliary vector (getauxval(3)): pairs of 64-bit words. Empty on other systems. */
function readAuxiliary(path: string): Map<number, number> {
  const bytes = orNothing(() => readFileSync(path)) ?? Buffer.alloc(0);
  const word = (at: number): number =>
    Number(endianness() === 'LE' ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
  const values = new Map<number, number>();
  for (let at = 0; at + 16 <= bytes.length; at += 16) values.set(word(at), word(at + 8));
  return values;
}

/** A process that ends between two looks is nothing to speak of. */
function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
