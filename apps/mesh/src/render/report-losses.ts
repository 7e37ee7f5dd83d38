import type { JobReport, Loss } from '@mesh/wire';
import { formatDuration } from '../durations.ts';
import { plural, safeLine } from './text.ts';

/** Causes named in the sentence; the rest is added up. */
const NAMED_CAUSES = 3;
/** Machines named in a sentence; the rest is counted. */
const NAMED_MACHINES = 4;
/** Less than this share of the difference is not worth a word of its own. */
const MIN_SHARE = 0.05;

const CAUSES: Record<Loss['cause'], string> = {
  planning: 'evaluation and planning',
  slots: 'waiting for a free slot (too few machines, or others went first)',
  held: 'waiting though a slot was free',
  'slower-machine': 'builds of the critical path on slower machines than the fastest',
  transfer: 'transfers of inputs',
  overhead: 'overhead (messages, roots, starting builds)',
  retry: 'machines that failed',
  'other-jobs': 'waiting for what another job built',
  result: 'fetching the result',
};

/** How near the job came to the least possible, what that was set by, and what the difference went to. */
export function boundSentences(report: JobReport): string[] {
  const { wallMs, lowerBoundMs: boundMs, boundBy, losses } = report;
  if (boundMs <= 0) return [];
  const by =
    boundBy === undefined
      ? ''
      : boundBy === 'critical-path'
        ? ', the critical path on the fastest machines'
        : `, all work on all slots: more or faster machines would shorten it`;
  const sentences = [`The least possible here was ${formatDuration(boundMs)}${by}.`];
  const overMs = wallMs - boundMs;
  if (losses === undefined || overMs < 1) return sentences;
  const named = losses.filter(({ ms }) => ms >= overMs * MIN_SHARE).slice(0, NAMED_CAUSES);
  const restMs = overMs - named.reduce((sum, { ms }) => sum + ms, 0);
  const parts = named.map(({ cause, ms }) => `${CAUSES[cause]} ${exact(ms)}`);
  if (restMs >= 1) parts.push(`the rest ${exact(restMs)}`);
  sentences.push(`The other ${exact(overMs)} went to: ${parts.join('; ')}.`);
  return sentences;
}

/** What races brought, which outputs differed, and whether the home idled: sentences, where there is something to say. */
export function incidentSentences({ races, differing, homeIdle }: JobReport): string[] {
  const sentences: string[] = [];
  if (races !== undefined && races.count > 0) {
    const share = (100 * races.wastedShare).toFixed(1);
    sentences.push(
      `${plural(races.count, 'race')}, ${races.won} won by the second machine; ${formatDuration(races.wastedMs)} of slot time lost (${share} %).`,
    );
  }
  for (const { name, output, first, second } of differing ?? []) {
    sentences.push(
      safeLine(
        `${name} is not deterministic: ${output} is ${first.narHash} from ${first.peer}, which is used, and ${second.narHash} from ${second.peer}.`,
        false,
      ),
    );
  }
  if (homeIdle !== undefined && homeIdle.count > 0) {
    sentences.push(
      `${plural(homeIdle.count, 'derivation')} would have ended sooner here, where a slot was idle for ${formatDuration(homeIdle.ms)}.`,
    );
  }
  return sentences;
}

/** What one more machine would have saved, one line for all whose answer is the same. */
export function whatIfSentences({ whatIf, wallMs }: JobReport): string[] {
  const bySaving = Map.groupBy(whatIf ?? [], ({ savedMs }) => savedMs);
  return [...bySaving]
    .sort(([a], [b]) => b - a)
    .map(([savedMs, gains]) => {
      const names = namesOf(gains.map(({ like }) => like));
      if (savedMs < wallMs / 100) return `One more machine like ${names} would have saved nothing.`;
      return `One more machine like ${names} would have saved about ${formatDuration(savedMs)}.`;
    });
}

function namesOf(machines: readonly string[]): string {
  const named = machines.slice(0, NAMED_MACHINES).map((name) => safeLine(name, false));
  const more = machines.length - named.length;
  return named.join(' or ') + (more > 0 ? ` (or ${more} others)` : '');
}

/** `340 ms` below a second: losses are small where all went well. */
function exact(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : formatDuration(ms);
}
