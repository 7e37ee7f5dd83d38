import { basename } from 'node:path';
import type { JobView } from '@mesh/wire';
import { ask } from '../control/port.ts';
import { formatDuration } from '../durations.ts';
import { fetchText } from '../render/fetch-text.ts';
import type { Style } from '../render/style.ts';
import { formatTable } from '../render/table.ts';
import { safeLine } from '../render/text.ts';
import { type CommonFlags, printJson, printNote, printOut, runningAgent, stdoutStyle } from './io.ts';

/** `mesh jobs`: what this machine's agent is the home of, the newest first. */
export async function jobs(flags: CommonFlags & { json?: boolean }): Promise<void> {
  const value = await ask(runningAgent(flags), { method: 'jobs' });
  if (flags.json) printJson(value);
  else if (value.jobs.length === 0) printNote('No jobs yet: `mesh build` makes one.');
  else printOut(jobsText(value.jobs, stdoutStyle()));
}

export function jobsText(views: readonly JobView[], style: Style): string {
  const newestFirst = views.toSorted((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
  const lines = formatTable(
    [
      { title: 'JOB' },
      { title: 'STATE' },
      { title: 'STARTED' },
      { title: 'TOOK', align: 'right' },
      { title: 'BUILT', align: 'right' },
      { title: 'FAILED', align: 'right' },
      { title: 'WANTED' },
    ],
    newestFirst.map((view) => [
      safeLine(view.job, false),
      stateText(view, style),
      safeLine(view.startedAt, false),
      formatDuration(view.wallMs),
      `${view.built}/${view.total}`,
      String(view.failed),
      wantedText(view),
    ]),
  );
  for (const view of newestFirst) {
    for (const { name, peer } of view.running) {
      lines.push(
        style.dim(`  ${safeLine(view.job, false)}: ${safeLine(peer, false)} builds ${safeLine(name, false)}`),
      );
    }
    lines.push(...fetchLines(view).map((line) => style.dim(`  ${safeLine(view.job, false)}: ${line}`)));
  }
  return lines.join('\n');
}

/** What is on its way to machines for a job, and home from them. */
function fetchLines({ fetching = [], resultFetch }: JobView): string[] {
  const inputs = fetching.map(
    (fetch) =>
      `${safeLine(fetch.peer, false)} fetches for ${safeLine(fetch.name, false)}: ${fetchText(fetch)}`,
  );
  return resultFetch === undefined ? inputs : [...inputs, `the result comes home: ${fetchText(resultFetch)}`];
}

function stateText({ state }: JobView, style: Style): string {
  return state === 'built' ? style.green(state) : state === 'failed' ? style.red(state) : state;
}

/** Names without hash and ending, the first few; and for whom, where that is somebody else. */
function wantedText({ wanted, submitter }: JobView): string {
  const names = wanted.map((path) =>
    basename(path)
      .replace(/^[0-9a-z]{32}-/, '')
      .replace(/\.drv$/, ''),
  );
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  const whom = submitter === undefined ? '' : ` for ${submitter}`;
  return safeLine(names.slice(0, 3).join(', ') + more + whom, false);
}
