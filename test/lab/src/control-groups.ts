import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Availability } from './available.ts';
import { processesUnder } from './processes.ts';

/** `cpuacct`, which counts, is one of version 1 only: in version 2 every `cpu` group counts. */
export type Controller = 'cpu' | 'cpuacct' | 'memory';

/** A host's control group, and what its files are called. */
export interface ControlGroup {
  readonly version: 1 | 2;
  readonly folder: string;
}

interface Hierarchy {
  readonly version: 1 | 2;
  readonly root: string;
}

const V2_ROOT = '/sys/fs/cgroup';
const CONTROLLERS: readonly Controller[] = ['cpu', 'cpuacct', 'memory'];

/** Whether this machine lets us limit what a host takes, by control groups of either version. */
export function controllerAvailable(controller: Controller): Availability {
  return hierarchyOf(controller) === undefined
    ? { ok: false, reason: `there is no cgroup ${controller} controller to use (neither version 1 nor 2)` }
    : { ok: true };
}

/** Every `cgroup.procs` a process of a limited host must enter; none for a host without a limit. */
export function cgroupProcsOf(lab: string, host: string): string[] {
  return hierarchies()
    .map(({ root }) => join(groupFolder(root, lab, host), 'cgroup.procs'))
    .filter((path) => existsSync(path));
}

/** Every control group of a lab. */
export function cgroupsOf(lab: string): string[] {
  const prefix = `mesh-lab-${lab}.`;
  return hierarchies().flatMap(({ root }) =>
    readdirSync(root)
      .filter((name) => name.startsWith(prefix))
      .map((name) => join(root, name)),
  );
}

/** The group of a host, made where there is none; undefined where the machine has no usable controller. */
export function controlGroup(controller: Controller, lab: string, host: string): ControlGroup | undefined {
  const hierarchy = hierarchyOf(controller);
  if (hierarchy === undefined) return undefined;
  const folder = groupFolder(hierarchy.root, lab, host);
  mkdirSync(folder, { recursive: true });
  return { version: hierarchy.version, folder };
}

/** Puts all processes of a host into its group; what they start is born there. */
export function moveIn({ folder }: ControlGroup, init: number): void {
  const procs = join(folder, 'cgroup.procs');
  // A process may fork while others are moved: until a look finds nobody outside.
  for (;;) {
    const inside = new Set(readFileSync(procs, 'utf8').split('\n').map(Number));
    const outside = processesUnder(init).filter(({ pid }) => !inside.has(pid));
    if (outside.length === 0) return;
    for (const { pid } of outside) {
      try {
        writeFileSync(procs, String(pid));
      } catch (error) {
        // Ended meanwhile.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }
}

function groupFolder(root: string, lab: string, host: string): string {
  return join(root, `mesh-lab-${lab}.${host}`);
}

/** The hierarchies with a controller that labs use, each once. */
function hierarchies(): Hierarchy[] {
  const all = CONTROLLERS.map(hierarchyOf).filter((hierarchy) => hierarchy !== undefined);
  return [...new Map(all.map((hierarchy) => [hierarchy.root, hierarchy])).values()];
}

function hierarchyOf(controller: Controller): Hierarchy | undefined {
  const root = join(V2_ROOT, controller);
  if (existsSync(join(root, 'tasks'))) return { version: 1, root };
  return enableV2(controller) ? { version: 2, root: V2_ROOT } : undefined;
}

function enableV2(controller: Controller): boolean {
  const control = join(V2_ROOT, 'cgroup.subtree_control');
  if (!existsSync(control)) return false;
  if (readFileSync(control, 'utf8').split(/\s+/).includes(controller)) return true;
  try {
    writeFileSync(control, `+${controller}`);
    return true;
  } catch (error) {
    // The controller is held elsewhere (version 1), or this is a container's subtree with processes of its own.
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['EINVAL', 'ENOENT', 'EBUSY', 'EACCES', 'EPERM', 'EROFS'].includes(code)) return false;
    throw error;
  }
}
