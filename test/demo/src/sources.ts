import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { repositoryRoot } from '@mesh/lab';
import { say } from './say.ts';

interface DemoSources {
  demoSources(options: { cacheDir: string; say: (line: string) => void }): Promise<string>;
}

/** The folder of the demo's source tar balls, fetched where they are missing. See scripts/demo-sources.mjs. */
export async function sourcesFolder(): Promise<string> {
  const script = pathToFileURL(join(repositoryRoot, 'scripts/demo-sources.mjs'));
  const { demoSources } = (await import(script.href)) as DemoSources;
  return demoSources({ cacheDir: cacheDir(), say });
}

// The set-up script's folder, or one the user may write to.
function cacheDir(): string {
  if (process.env.MESH_LAB_CACHE) return process.env.MESH_LAB_CACHE;
  if (process.getuid?.() === 0) return '/var/cache/mesh-lab';
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mesh-lab');
}
