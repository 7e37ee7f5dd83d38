import type { DerivationReport, JobReport } from '@mesh/wire';
import { ask } from '../control/port.ts';
import { formatDuration } from '../durations.ts';
import type { Style } from '../render/style.ts';
import { formatTable } from '../render/table.ts';
import { formatBytes, plural, safeLine } from '../render/text.ts';
import { type CommonFlags, printJson, printOut, runningAgent, stdoutStyle } from './io.ts';

/** Derivations named in the listing of the longest. */
const LONGEST = 10;

/** `mesh report [JOB]`: where a job's time went; the newest job unless one is named. */
export async function report(
  job: string | undefined,
  flags: CommonFlags & { json?: boolean },
): Promise<void> {
  const value = await ask(runningAgent(flags), { method: 'report', ...(job === undefined ? {} : { job }) });
  if (flags.json) printJson(value);
  else printOut(reportText(value, stdoutStyle()));
}

export function reportText(report: JobReport, style: Style): string {
  const outcome = report.ok ? style.green('built') : style.red('not built');
  const bound = report.lowerBoundMs;
  const ratio =
    bound > 0
      ? ` (${(report.wallMs / bound).toFixed(2)} times the least possible, ${formatDuration(bound)})`
      : '';
  const lines = [
    `${style.bold(safeLine(report.job, false))}: ${outcome} in ${formatDuration(report.wallMs)}${ratio}`,
    `started ${safeLine(report.startedAt, false)}, ${plural(report.derivations.length, 'derivation')}, ${formatBytes(report.bytesFetched)} fetched`,
  ];
  if (report.peers.length > 0) lines.push('', ...peerTable(report));
  const ran = report.derivations.filter((derivation) => ranMs(derivation) !== undefined);
  if (ran.length > 0) {
    lines.push('', ran.length > LONGEST ? `The ${LONGEST} longest builds:` : 'Builds, the longest first:');
    lines.push(...buildTable(ran.toSorted((a, b) => ranMs(b)! - ranMs(a)!).slice(0, LONGEST)));
  }
  if (report.criticalPath.length > 0) {
    const names = new Map(report.derivations.map(({ drvPath, name }) => [drvPath, name]));
    const path = report.criticalPath.map((drvPath) => safeLine(names.get(drvPath) ?? drvPath, false));
    lines.push('', `Critical path: ${path.join(' -> ')}`);
  }
  return lines.join('\n');
}

function peerTable(report: JobReport): string[] {
  return formatTable(
    [
      { title: 'MACHINE' },
      { title: 'BUILDS', align: 'right' },
      { title: 'BUSY', align: 'right' },
      { title: 'FETCHED', align: 'right' },
      { title: 'SERVED', align: 'right' },
    ],
    report.peers.map((peer) => [
      safeLine(peer.name, false),
      String(peer.builds),
      formatDuration(peer.busyMs),
      formatBytes(peer.bytesIn),
      formatBytes(peer.bytesOut),
    ]),
  );
}

function buildTable(derivations: readonly DerivationReport[]): string[] {
  return formatTable(
    [
      { title: 'BUILD' },
      { title: 'MACHINE' },
      { title: 'TOOK', align: 'right' },
      { title: 'WAITED', align: 'right' },
      { title: 'OUTCOME' },
      { title: 'WHY THERE' },
    ],
    derivations.map((derivation) => [
      safeLine(derivation.name, false),
      safeLine(derivation.peer ?? '-', false),
      formatDuration(ranMs(derivation)!),
      derivation.readyMs === null ? '-' : formatDuration(derivation.startedMs! - derivation.readyMs),
      derivation.outcome,
      safeLine(derivation.why, false),
    ]),
  );
}

function ranMs({ startedMs, finishedMs }: DerivationReport): number | undefined {
  return startedMs === null || finishedMs === null ? undefined : finishedMs - startedMs;
}
