import type { JobEvent } from '@mesh/wire';
import { formatDuration } from '../durations.ts';
import { fetchText } from './fetch-text.ts';
import type { RenderOptions } from './renderer.ts';
import type { Style } from './style.ts';
import { summarize } from './summary.ts';
import { formatBytes, plural, safeLine } from './text.ts';

/** Derivations a dry run names; a system has tens of thousands. `--json` names them all. */
const MAX_DRY_RUN_NAMES = 200;

/** One event as the lines of the plain log; none for what is not worth a line. Pure. */
export function eventLines(
  event: JobEvent,
  { verbose, logs, dryRun }: RenderOptions,
  style: Style,
): string[] {
  const safe = (text: string) => safeLine(text, false);
  switch (event.type) {
    case 'job-started':
      return verbose ? [style.dim(`job ${safe(event.job)}, at home on ${safe(event.home)}`)] : [];
    case 'planned':
      return event.derivations === undefined ? [] : dryRunLines(event.derivations, event.toFetch);
    case 'leased':
      return verbose
        ? [
            style.dim(
              `${safe(event.peer)}: takes ${safe(event.name)}${attempt(event.attempt)}: ${safe(event.why)}`,
            ),
          ]
        : [];
    case 'race':
      return [style.dim(`${safe(event.peer)}: races ${safe(event.against)} for ${safe(event.name)}`)];
    case 'race-finished':
      return event.raceWon || verbose
        ? [
            style.dim(
              `${safe(event.winner)}: was first with ${safe(event.name)}; ${safe(event.loser)} stops after ${formatDuration(event.wastedMs)}`,
            ),
          ]
        : [];
    case 'outputs-differ':
      return differLines(event, style);
    case 'returned':
      return verbose
        ? [
            style.dim(
              `${safe(event.peer)}: has ${safe(event.name)} no more${event.reason === '' ? '' : `: ${safe(event.reason)}`}`,
            ),
          ]
        : [];
    case 'fetching':
      return verbose
        ? [
            style.dim(
              `${safe(event.peer)}: fetching ${plural(event.paths, 'path')} (${formatBytes(event.bytes)}) for ${safe(event.name)}`,
            ),
          ]
        : [];
    case 'fetch-progress':
      return [style.dim(`${safe(event.peer)}: fetching for ${safe(event.name)}: ${fetchText(event)}`)];
    case 'started':
      return [`${safe(event.peer)}: building ${safe(event.name)}`];
    case 'log':
      return logs
        ? event.lines.map((line) => `${style.bold(safe(event.name))}> ${safeLine(line, style.colour)}`)
        : [];
    case 'phase':
      return verbose ? [style.dim(`${safe(event.name)}: ${safe(event.phase)}`)] : [];
    case 'finished':
      return finishedLines(event, verbose, style);
    case 'requeued':
      return [
        style.yellow(
          `${safe(event.peer)}: could not finish ${safe(event.name)} (${safe(event.reason)}); it goes elsewhere`,
        ),
      ];
    case 'peer':
      if (event.state === 'down') return [style.yellow(`${safe(event.peer)}: gone`)];
      return verbose ? [style.dim(`${safe(event.peer)}: here`)] : [];
    case 'result-fetch':
      if (event.done || event.paths === 0) return [];
      return event.progress === undefined
        ? [`fetching the result: ${plural(event.paths, 'path')}, ${formatBytes(event.bytes)}`]
        : [style.dim(`fetching the result: ${fetchText(event.progress)}`)];
    case 'note':
      return [event.level === 'warn' ? style.yellow(`warning: ${safe(event.message)}`) : safe(event.message)];
    case 'job-finished':
      return dryRun && event.ok ? [] : [summarize(event, style)];
  }
}

/** Nothing is wrong with the build at hand, but somebody should know. */
function differLines(event: Extract<JobEvent, { type: 'outputs-differ' }>, style: Style): string[] {
  const safe = (text: string) => safeLine(text, false);
  return [
    style.yellow(
      `warning: ${safe(event.name)} is not deterministic: two machines built ${safe(event.output)} differently`,
    ),
    `  ${safe(event.first.peer)}: ${safe(event.first.narHash)} (this one is used)`,
    `  ${safe(event.second.peer)}: ${safe(event.second.narHash)}`,
  ];
}

function attempt(n: number): string {
  return n > 1 ? ` (attempt ${n})` : '';
}

function finishedLines(
  event: Extract<JobEvent, { type: 'finished' }>,
  verbose: boolean,
  style: Style,
): string[] {
  const name = safeLine(event.name, false);
  const prefix = event.peer === null ? '' : `${safeLine(event.peer, false)}: `;
  switch (event.outcome) {
    case 'built':
      return [`${prefix}${style.green('built')} ${name} in ${formatDuration(event.durationMs)}`];
    case 'valid':
      return verbose ? [style.dim(`${prefix}${name} exists already`)] : [];
    case 'cancelled':
      return verbose ? [style.dim(`${prefix}cancelled ${name}`)] : [];
    case 'skipped':
      return verbose ? [style.dim(`not tried: ${name}, it needs something that failed`)] : [];
    case 'failed': {
      const message = event.message === undefined ? '' : `: ${gist(event.message)}`;
      const tail = event.logTail ?? [];
      return [
        `${prefix}${style.red('failed')} to build ${name} after ${formatDuration(event.durationMs)}${message}`,
        ...(tail.length === 0 ? [] : [`  the last ${plural(tail.length, 'line')} of its log:`]),
        ...tail.map((line) => `  > ${safeLine(line, style.colour)}`),
        `  the whole log: ${style.bold(`mesh log ${safeLine(event.drvPath, false)}`)}`,
      ];
    }
  }
}

/**
 * The one line of a daemon's message that says why: newer daemons put it behind `Reason:`, older ones first. The rest repeats the log
 * and names Nix's own commands.
 */
function gist(message: string): string {
  const lines = message.split('\n').map((line) => safeLine(line, false).trim());
  const reason = lines.find((line) => line.startsWith('Reason: '))?.slice('Reason: '.length);
  return (reason ?? lines.find((line) => line !== '') ?? '').replace(/[.;:]$/, '');
}

function dryRunLines(derivations: readonly { drvPath: string }[], toFetch: number): string[] {
  const lines: string[] = [];
  if (derivations.length > 0) {
    lines.push(`would build ${plural(derivations.length, 'derivation')}:`);
    for (const { drvPath } of derivations.slice(0, MAX_DRY_RUN_NAMES))
      lines.push(`  ${safeLine(drvPath, false)}`);
    const more = derivations.length - MAX_DRY_RUN_NAMES;
    if (more > 0) lines.push(`  and ${more} more`);
  }
  if (toFetch > 0) lines.push(`would fetch ${plural(toFetch, 'path')}`);
  if (lines.length === 0) lines.push('would build nothing: everything is there');
  return lines;
}
