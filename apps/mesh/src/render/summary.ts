import type { JobEvent } from '@mesh/wire';
import { formatDuration } from '../durations.ts';
import type { Style } from './style.ts';
import { plural, safeLine } from './text.ts';

type JobFinished = Extract<JobEvent, { type: 'job-finished' }>;

/** Failed derivations named in the last line; the rest are counted. */
const NAMED_FAILURES = 3;

/** The last line of a build: `built 24 derivations on 3 machines in 4.3 s (h1 8, h2 8, h3 8)`. */
export function summarize(finished: JobFinished, style: Style): string {
  const { report } = finished;
  const took = formatDuration(report.wallMs);
  const outcomes = Map.groupBy(report.derivations, (derivation) => derivation.outcome);
  const count = (outcome: 'built' | 'failed' | 'skipped') => outcomes.get(outcome)?.length ?? 0;
  const built = count('built');
  const where = builtWhere(finished);
  if (finished.cancelled) return style.yellow(`cancelled after ${took}`) + (built > 0 ? `; ${where}` : '');
  if (finished.ok) {
    if (built > 0) return `${style.green('built')} ${where.replace(/^built /, '')}`;
    return report.bytesFetched > 0
      ? `${style.green('done')}: nothing had to be built, everything was fetched in ${took}`
      : `${style.green('done')}: nothing had to be built, everything was there (${took})`;
  }
  const failed = (outcomes.get('failed') ?? []).map((derivation) => safeLine(derivation.name, false));
  const names = failed.slice(0, NAMED_FAILURES).join(', ');
  const more = failed.length > NAMED_FAILURES ? ` and ${failed.length - NAMED_FAILURES} more` : '';
  const parts = [
    failed.length > 0
      ? `${style.red('failed')} to build ${plural(failed.length, 'derivation')} (${names}${more})`
      : `${style.red('failed')} after ${took}`,
  ];
  if (count('skipped') > 0) parts.push(`${count('skipped')} not tried because they need what failed`);
  if (built > 0) parts.push(where);
  return parts.join('; ');
}

function builtWhere({ report }: JobFinished): string {
  const built = report.derivations.filter((derivation) => derivation.outcome === 'built').length;
  const machines = report.peers
    .filter((peer) => peer.builds > 0)
    .map((peer) => ({ name: safeLine(peer.name, false), builds: peer.builds }))
    .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  const took = formatDuration(report.wallMs);
  const what = `built ${plural(built, 'derivation')}`;
  if (machines.length === 0) return `${what} in ${took}`;
  if (machines.length === 1) return `${what} on ${machines[0]!.name} in ${took}`;
  const shares = machines.map((machine) => `${machine.name} ${machine.builds}`).join(', ');
  return `${what} on ${plural(machines.length, 'machine')} in ${took} (${shares})`;
}
