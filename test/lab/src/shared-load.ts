import { existsSync, readFileSync } from 'node:fs';
import type { Host } from './host.ts';

const CONFIG = '/var/lib/mesh/config.json';

interface Config {
  offer?: Record<string, unknown>;
}

/**
 * Hosts of a lab share one kernel, whose pressure figures are of all of them together: to each agent the others' builds look like a
 * user who needs the machine. Takes that from what agents listen to, unless the configuration on the host says something about it.
 */
export async function ignoreSharedLoad(host: Host): Promise<void> {
  const path = `${host.root}${CONFIG}`;
  const config = existsSync(path) ? parse(readFileSync(path, 'utf8')) : {};
  if (config === undefined || config.offer?.maxCpuPressureOfOthers !== undefined) return;
  const offer = { maxCpuPressureOfOthers: 100, maxMemoryPressure: 100, ...config.offer };
  await host.exec(['mkdir', '-p', '-m', '700', '/var/lib/mesh']);
  await host.writeFile(CONFIG, JSON.stringify({ ...config, offer }));
}

/** Undefined for what a test has made wrong on purpose. */
function parse(text: string): Config | undefined {
  try {
    return JSON.parse(text) as Config;
  } catch {
    return undefined;
  }
}
