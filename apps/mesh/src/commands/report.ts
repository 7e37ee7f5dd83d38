import type { DerivationReport, JobReport } from '@mesh/wire';
import { ask } from '../control/port.ts';
import { formatDuration } from '../durations.ts';
import { boundSentences, incidentSentences, whatIfSentences } from '../render/report-losses.ts';
import type { Style } from '../render/style.ts';
import { formatTable } from '../render/table.ts';
import { fitLine, formatBytes, plural, safeLine } from '../render/text.ts';
import { wrapText } from '../render/wrap.ts';
import { type CommonFlags, printJson, printOut, runningAgent, stdoutStyle } from './io.ts';

/** Derivations named in the listing of the longest. */
const LONGEST = 10;
/** Links of the critical path that are named; of a longer one the first and the last. */
const NAMED_LINKS = 12;
const COLUMNS = 80;
/** Of a name: the table's other columns want the rest of 80. */
const NAME_COLUMNS = 30;

/** `mesh report [JOB]`: where a job's time went; the newest job unless one is named. */
export async function report(
  job: string | undefined,
  flags: CommonFlags & { json?: boolean },
): Promise<void> {
  const value = await ask(runningAgent(flags), { method: 'report', ...(job === undefined ? {} : { job }) });
  if (flags.json) printJson(value);
  else printOut(reportText(value, stdoutStyle(), flags.verbose ?? false));
}

/** The report for people; `verbose` adds every derivation with the reason for its place. */
export function reportText(report: JobReport, style: Style, verbose = false): string {
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
  const section = (added: readonly string[]) => {
    if (added.length > 0) lines.push('', ...added);
  };
  section(sentences(report.boundBy === undefined ? [] : boundSentences(report)));
  section(report.peers.length > 0 ? peerTable(report) : []);
  section(sentences([...incidentSentences(report), ...whatIfSentences(report)]));
  const ran = report.derivations
    .filter((derivation) => ranMs(derivation) !== undefined)
    .toSorted((a, b) => ranMs(b)! - ranMs(a)!);
  if (ran.length > 0) {
    section([ran.length > LONGEST ? `The ${LONGEST} longest builds:` : 'Builds, the longest first:']);
    lines.push(...buildTable(ran.slice(0, LONGEST)));
  }
  section(criticalPathLines(report));
  if (verbose) section(whyLines(report));
  return lines.join('\n');
}

function sentences(texts: readonly string[]): string[] {
  return texts.flatMap((text) => wrapText(text, COLUMNS, '  '));
}

function peerTable(report: JobReport): string[] {
  return formatTable(
    [
      { title: 'MACHINE' },
      { title: 'SPEED', align: 'right' },
      { title: 'SLOTS', align: 'right' },
      { title: 'BUILDS', align: 'right' },
      { title: 'BUSY', align: 'right' },
      { title: 'IDLE', align: 'right' },
      { title: 'FETCHED', align: 'right' },
      { title: 'SERVED', align: 'right' },
    ],
    report.peers.map((peer) => [
      safeLine(peer.name, false),
      peer.speed === undefined ? '-' : peer.speed.toFixed(2),
      peer.slots === undefined ? '-' : String(peer.slots),
      String(peer.builds),
      formatDuration(peer.busyMs),
      peer.idleMs === undefined ? '-' : formatDuration(peer.idleMs),
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
      { title: 'EXPECTED', align: 'right' },
      { title: 'WAITED', align: 'right' },
      { title: 'OUTCOME' },
    ],
    derivations.map((derivation) => [
      fitLine(safeLine(derivation.name, false), NAME_COLUMNS),
      safeLine(derivation.peer ?? '-', false),
      formatDuration(ranMs(derivation)!),
      derivation.expectedMs === undefined ? '-' : formatDuration(derivation.expectedMs),
      derivation.readyMs === null ? '-' : formatDuration(derivation.startedMs! - derivation.readyMs),
      outcomeText(derivation),
    ]),
  );
}

function outcomeText({ outcome, race, attempt }: DerivationReport): string {
  if (race !== undefined) return `${outcome}, raced`;
  return attempt > 1 ? `${outcome}, attempt ${attempt}` : outcome;
}

function criticalPathLines(report: JobReport): string[] {
  if (report.criticalPath.length === 0) return [];
  const names = new Map(report.derivations.map(({ drvPath, name }) => [drvPath, name]));
  const path = report.criticalPath.map((drvPath) => safeLine(names.get(drvPath) ?? drvPath, false));
  const half = NAMED_LINKS / 2;
  const shown =
    path.length <= NAMED_LINKS
      ? path
      : [...path.slice(0, half), `(${path.length - NAMED_LINKS} more)`, ...path.slice(-half)];
  return wrapText(`Critical path: ${shown.join(' -> ')}`, COLUMNS, '  ');
}

/** Every derivation that reached a machine, in the order of their ends, with the reason for its place. */
function whyLines(report: JobReport): string[] {
  const placed = report.derivations
    .filter(({ peer }) => peer !== null)
    .toSorted((a, b) => (a.finishedMs ?? Infinity) - (b.finishedMs ?? Infinity));
  return placed.flatMap(({ name, peer, why }) =>
    wrapText(`${safeLine(name, false)} on ${safeLine(peer!, false)}: ${safeLine(why, false)}`, COLUMNS, '  '),
  );
}

function ranMs({ startedMs, finishedMs }: DerivationReport): number | undefined {
  return startedMs === null || finishedMs === null ? undefined : finishedMs - startedMs;
}
