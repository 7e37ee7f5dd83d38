import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { sendSignal } from './command.ts';
import { STATE_ROOT, STATE_VERSION } from './constants.ts';
import { cgroupsOf } from './control-groups.ts';
import { LabError } from './errors.ts';
import type { Image } from './images.ts';
import { startTimeOf } from './processes.ts';

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
}

export interface HostState {
  readonly name: string;
  readonly address: string;
  readonly port: string;
  readonly image: Image;
  /** Init of the host's last boot, running or not. */
  readonly init?: ProcessIdentity;
}

/** What `state.json` in a lab's folder says: enough for another process to use the lab, or to clean up after it. */
export interface LabState {
  readonly version: number;
  readonly name: string;
  readonly owner: ProcessIdentity;
  readonly supervisor?: ProcessIdentity;
  readonly multicast: boolean;
  readonly sshd: boolean;
  readonly hosts: readonly HostState[];
}

/** A folder without a state is being made right now, unless it is this old. */
const UNFINISHED_MS = 60_000;

export function labDir(name: string): string {
  return join(STATE_ROOT, name);
}

export function identify(pid: number): ProcessIdentity {
  const startTime = startTimeOf(pid);
  if (startTime === undefined)
    throw new LabError('LAB_START_FAILED', `Process ${pid} of the lab ended at once.`);
  return { pid, startTime };
}

export function isRunning(identity: ProcessIdentity | undefined): identity is ProcessIdentity {
  return identity !== undefined && startTimeOf(identity.pid) === identity.startTime;
}

/**
 * Claims a lab's name by making its folder.
 * @throws {LabError} `LAB_NAME_TAKEN`
 */
export function claim(state: LabState): void {
  mkdirSync(STATE_ROOT, { recursive: true });
  try {
    mkdirSync(labDir(state.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new LabError(
      'LAB_NAME_TAKEN',
      `A lab named ${state.name} exists: take it down or choose another name.`,
    );
  }
  mkdirSync(join(labDir(state.name), 'files'));
  saveState(state);
}

export function saveState(state: LabState): void {
  const path = join(labDir(state.name), 'state.json');
  writeFileSync(`${path}.new`, `${JSON.stringify(state, undefined, 2)}\n`);
  renameSync(`${path}.new`, path);
}

/** Undefined when there is no such lab, or one of a version this does not know. */
export function loadState(name: string): LabState | undefined {
  let text: string;
  try {
    text = readFileSync(join(labDir(name), 'state.json'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const state = JSON.parse(text) as LabState;
  return state.version === STATE_VERSION ? state : undefined;
}

/** Names of all labs of this machine, in use or left behind. */
export function labNames(): string[] {
  try {
    return readdirSync(STATE_ROOT).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Removes what labs with a dead owner left, where even their watcher was killed. Returns their names. */
export function reap(): string[] {
  return labNames().filter((name) => {
    const state = loadState(name);
    if (state === undefined ? !isOld(name) : isRunning(state.owner)) return false;
    remove(name, state);
    return true;
  });
}

/**
 * Ends a lab's supervisor, should it still run, and removes what is not in its namespaces. The folder goes last, and stays
 * for the next look while a control group still has processes that are ending.
 */
export function remove(name: string, state = loadState(name)): void {
  if (isRunning(state?.supervisor)) sendSignal(state.supervisor.pid, 'SIGKILL');
  for (const group of cgroupsOf(name)) {
    try {
      rmdirSync(group);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EBUSY') return;
      if (code !== 'ENOENT') throw error;
    }
  }
  rmSync(labDir(name), { recursive: true, force: true });
}

function isOld(name: string): boolean {
  const made = statSync(labDir(name), { throwIfNoEntry: false })?.mtimeMs;
  return made !== undefined && Date.now() - made > UNFINISHED_MS;
}
