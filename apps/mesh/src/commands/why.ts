import type { AttemptReport, ControlResult, WhyView } from '@mesh/wire';
import { ask } from '../control/port.ts';
import { formatDuration } from '../durations.ts';
import type { Style } from '../render/style.ts';
import { plural, safeLine } from '../render/text.ts';
import { wrapText } from '../render/wrap.ts';
import { type CommonFlags, printJson, printOut, runningAgent, stdoutStyle } from './io.ts';

/** Sentences end here, so that they are read on any terminal. */
const COLUMNS = 80;

/** `mesh why DRV|NAME`: where a derivation ran, runs or waits, and why. */
export async function why(
  target: string,
  flags: CommonFlags & { job?: string; json?: boolean },
): Promise<void> {
  const value = await ask(runningAgent(flags), {
    method: 'why',
    target,
    ...(flags.job === undefined ? {} : { job: flags.job }),
  });
  if (flags.json) printJson(value);
  else printOut(whyText(value, stdoutStyle()));
}

export function whyText(value: ControlResult<'why'>, style: Style): string {
  const lines = value.derivations.flatMap((view, i) => [
    ...(i === 0 ? [] : ['']),
    ...derivationLines(view, value.job, style),
  ]);
  if (value.more > 0)
    lines.push('', `${plural(value.more, 'more derivation')} of this name; give a .drv path.`);
  return lines.join('\n');
}

function derivationLines(view: WhyView, job: string, style: Style): string[] {
  const safe = (text: string) => safeLine(text, false);
  return [
    `${style.bold(safe(view.name))}: ${stateText(view, style)} ${style.dim(`(job ${safe(job)})`)}`,
    style.dim(`  ${safe(view.drvPath)}`),
    ...indented(safe(view.sentence)),
    ...(view.waitsFor.length === 0 || view.attempts.length > 0 ? [] : waitsLines(view)),
    ...indented(predictionText(view)),
    ...view.attempts.flatMap((attempt) => ['', ...attemptLines(attempt, view.readyMs, style)]),
  ];
}

function stateText({ state }: WhyView, style: Style): string {
  if (state === 'built' || state === 'valid') return style.green(state);
  return state === 'failed' ? style.red(state) : state;
}

function waitsLines({ waitsFor, waitsForCount }: WhyView): string[] {
  const more = waitsForCount - waitsFor.length;
  return [
    ...waitsFor.map(({ name, state }) => `    ${safeLine(name, false)}  ${state}`),
    ...(more > 0 ? [`    and ${more} more`] : []),
  ];
}

function predictionText({ predictedMs, predictedFrom }: WhyView): string {
  const from = {
    name: 'from builds of this name',
    family: 'from builds of names like this',
    cold: 'a guess, because nothing like it was built yet',
  };
  return `Predicted: ${formatDuration(predictedMs)} on an ordinary machine${predictedFrom === null ? '' : `, ${from[predictedFrom]}`}.`;
}

function attemptLines(attempt: AttemptReport, readyMs: number | null, style: Style): string[] {
  const safe = (text: string) => safeLine(text, false);
  const how = attempt.race ? 'as a race' : `attempt ${attempt.attempt}`;
  const cores = attempt.cores > 0 ? `, ${plural(attempt.cores, 'core')}` : '';
  const outcome = attempt.outcome ?? 'under way';
  return [
    `  ${style.bold(safe(attempt.peer))}, ${how}${cores}: ${outcome}`,
    ...indented(safe(attempt.why), 4),
    ...(attempt.detail === undefined ? [] : indented(`It ended: ${safe(attempt.detail)}`, 4)),
    ...indented(timesText(attempt, readyMs), 4),
  ];
}

/** What each step took, from the time the derivation was ready. */
function timesText(attempt: AttemptReport, readyMs: number | null): string {
  const { leasedMs, fetchedMs, startedMs, endedMs, expectedMs } = attempt;
  const parts: string[] = [];
  const step = (what: string, fromMs: number | null, toMs: number | null) => {
    if (fromMs !== null && toMs !== null) parts.push(`${what} ${formatDuration(toMs - fromMs)}`);
  };
  step('given to it after', readyMs, leasedMs);
  step('inputs there after', leasedMs, fetchedMs);
  step('begun after', fetchedMs, startedMs);
  step('ended after', startedMs ?? leasedMs, endedMs);
  if (expectedMs > 0) parts.push(`expected ${formatDuration(expectedMs)}`);
  return `Times: ${parts.join(', ')}.`;
}

function indented(text: string, by = 2): string[] {
  const space = ' '.repeat(by);
  return wrapText(text, COLUMNS - by).map((line) => `${space}${line}`);
}
