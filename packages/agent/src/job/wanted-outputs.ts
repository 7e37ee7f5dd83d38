import { AgentError } from '../errors.ts';
import type { Job } from './job.ts';
import type { Planner, Wanted } from './planner.ts';

/** The wanted outputs of what did not fail, by derivation: those whose paths are known. @throws AgentError BUILD_NOTHING_WANTED */
export async function wantedOutputs(
  job: Job,
  planner: Planner,
  failed: ReadonlySet<string>,
): Promise<{ drvPath: string; outputs: Record<string, string> }[]> {
  const entries: { drvPath: string; outputs: Record<string, string> }[] = [];
  for (const wanted of job.wanted) {
    if (failed.has(wanted.drvPath)) continue;
    const outcome = job.timelines.get(wanted.drvPath)?.outcome;
    if (outcome === 'skipped' || outcome === 'cancelled' || outcome === 'failed') continue;
    entries.push({ drvPath: wanted.drvPath, outputs: await outputPaths(job, wanted, planner) });
  }
  return entries;
}

async function outputPaths(job: Job, wanted: Wanted, planner: Planner): Promise<Record<string, string>> {
  const derivation = await planner.derivation(wanted.drvPath);
  const names = wanted.outputs.length > 0 ? wanted.outputs : [...derivation.outputs.keys()];
  const paths: Record<string, string> = {};
  for (const name of names) {
    const path = derivation.outputs.get(name)?.path;
    if (path === undefined) {
      throw new AgentError(
        'BUILD_NOTHING_WANTED',
        `${wanted.drvPath} has no output ${name}; it has ${[...derivation.outputs.keys()].join(', ')}.`,
      );
    }
    const known = path !== '' ? path : job.builtOutputs.get(wanted.drvPath)?.get(name);
    if (known !== undefined) paths[name] = known;
  }
  return paths;
}
