import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readKernelFile, readKernelFolder } from './kernel-file.ts';

export interface PowerComponents {
  platform?: NodeJS.Platform;
  /** `/sys/class/power_supply`, where it is elsewhere. */
  supplyDir?: string;
  /** What `pmset -g batt` prints. */
  pmset?: () => Promise<string>;
}

/** Whether this machine runs on mains power: it does unless it says that it runs on a battery. */
export async function onMains({
  platform = process.platform,
  supplyDir = '/sys/class/power_supply',
  pmset = runPmset,
}: PowerComponents = {}): Promise<boolean> {
  if (platform === 'darwin') return !(await pmset()).includes("'Battery Power'");
  return mainsOf(await supplies(supplyDir));
}

/** One of the kernel's power supplies (Documentation/ABI/testing/sysfs-class-power). */
interface Supply {
  readonly type: string | undefined;
  readonly online: string | undefined;
  readonly status: string | undefined;
  readonly scope: string | undefined;
}

function mainsOf(supplies: readonly Supply[]): boolean {
  // A mouse has a battery too, of scope Device.
  const own = supplies.filter((supply) => supply.scope !== 'Device');
  const batteries = own.filter(({ type }) => type === 'Battery' || type === 'UPS');
  const plugs = own.filter((supply) => !batteries.includes(supply));
  if (plugs.some(({ online }) => online !== undefined && online !== '0')) return true;
  return !batteries.some(({ status }) => status === 'Discharging');
}

async function supplies(directory: string): Promise<Supply[]> {
  const names = await readKernelFolder(directory);
  return Promise.all(
    names.map(async (name) => {
      const [type, online, status, scope] = await Promise.all(
        ['type', 'online', 'status', 'scope'].map((file) => readKernelFile(join(directory, name, file))),
      );
      return { type, online, status, scope };
    }),
  );
}

async function runPmset(): Promise<string> {
  try {
    return (await promisify(execFile)('pmset', ['-g', 'batt'], { timeout: 5_000 })).stdout;
  } catch {
    // A machine that cannot say is on mains.
    return '';
  }
}
