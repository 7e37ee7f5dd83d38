import type { ControlResult } from '@mesh/wire';
import { AgentError } from '../errors.ts';
import { type ExplainWaiting, whyView } from '../job/explain.ts';
import type { Job } from '../job/job.ts';
import type { Timeline } from '../job/timeline.ts';

/** Derivations explained at once; a name fits more where a package is built in stages. */
const MAX_EXPLAINED = 10;

/**
 * Explains a derivation: by `.drv` or output path, by name, or by a part of a name; in the first of these jobs that has one.
 * @throws AgentError WHY_UNKNOWN
 */
export function explain(
  jobs: readonly Job[],
  target: string,
  explainWaiting: ExplainWaiting,
): ControlResult<'why'> {
  for (const fits of [isExactly(target), isNamed(target), (t: Timeline) => t.name.includes(target)]) {
    for (const job of jobs) {
      const found = [...job.timelines.values()].filter(fits);
      if (found.length === 0) continue;
      return {
        job: job.id,
        state: job.state,
        wallMs: job.wallMs(),
        derivations: found
          .slice(0, MAX_EXPLAINED)
          .map((timeline) =>
            whyView(job, timeline, job.state === 'running' ? explainWaiting : () => undefined),
          ),
        more: Math.max(0, found.length - MAX_EXPLAINED),
      };
    }
  }
  throw new AgentError(
    'WHY_UNKNOWN',
    jobs.length === 0
      ? 'No job has run here since the agent started.'
      : `No derivation ${target} was to be built by a job of this machine since its agent started: see \`mesh jobs\`; what exists already is in no job.`,
  );
}

function isExactly(target: string): (timeline: Timeline) => boolean {
  return ({ drvPath, node }) => drvPath === target || node.outputs.includes(target);
}

function isNamed(target: string): (timeline: Timeline) => boolean {
  return ({ name }) => name === target;
}
