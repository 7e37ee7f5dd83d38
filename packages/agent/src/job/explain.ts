import type { WhyView } from '@mesh/wire';
import { attemptReport } from './attempt-report.ts';
import type { Job } from './job.ts';
import { type Attempt, liveAttempts, mainAttempt, readyMs, type Timeline } from './timeline.ts';

/** Dependencies named; the rest is counted. */
const NAMED_DEPENDENCIES = 10;

/** Says what the scheduler waits with: one sentence, or undefined where it knows nothing of the derivation. */
export type ExplainWaiting = (drvPath: string) => string | undefined;

/** Where a derivation of a job is, was or waits to be built, and why. */
export function whyView(job: Job, timeline: Timeline, explainWaiting: ExplainWaiting): WhyView {
  const { node } = timeline;
  const waiting = timeline.finishedMs === null ? unfinished(job, timeline) : [];
  const state = stateOf(timeline, waiting.length);
  return {
    drvPath: timeline.drvPath,
    name: timeline.name,
    state,
    sentence: sentence(job, timeline, state, waiting, explainWaiting),
    readyMs: readyMs(timeline, job.timelines),
    finishedMs: timeline.finishedMs,
    predictedMs: Math.round(node.predictedMs),
    predictedFrom: node.history?.basis ?? null,
    waitsFor: waiting.slice(0, NAMED_DEPENDENCIES).map((dependency) => ({
      drvPath: dependency.drvPath,
      name: dependency.name,
      state: stateOf(dependency, unfinished(job, dependency).length),
    })),
    waitsForCount: waiting.length,
    attempts: timeline.attempts.map((attempt) => attemptReport(attempt, (peerId) => job.nameOf(peerId))),
  };
}

function unfinished(job: Job, timeline: Timeline): Timeline[] {
  return timeline.dependencies
    .map((path) => job.timelines.get(path))
    .filter((dependency) => dependency !== undefined)
    .filter((dependency) => dependency.finishedMs === null);
}

function stateOf(timeline: Timeline, waitsForCount: number): WhyView['state'] {
  if (timeline.outcome !== null && timeline.finishedMs !== null) return timeline.outcome;
  const live = liveAttempts(timeline);
  if (live.some(({ startedMs }) => startedMs !== null)) return 'building';
  if (live.length > 0) return 'leased';
  return waitsForCount > 0 ? 'waiting' : 'ready';
}

function sentence(
  job: Job,
  timeline: Timeline,
  state: WhyView['state'],
  waiting: readonly Timeline[],
  explainWaiting: ExplainWaiting,
): string {
  const machine = (peerId: string | null | undefined) => (peerId == null ? 'no machine' : job.nameOf(peerId));
  switch (state) {
    case 'built':
      return builtSentence(timeline, machine);
    case 'failed':
      return timeline.peerId === null
        ? `It failed: ${failureOf(job, timeline)}`
        : `It failed on ${machine(timeline.peerId)}: ${failureOf(job, timeline)}`;
    case 'skipped':
      return 'It was not tried, because something it needs failed.';
    case 'cancelled':
      return 'Its job was cancelled before it was built.';
    case 'valid':
      return 'Nothing was built for this job: its outputs came from another job or machine, or exist already.';
    case 'building':
      return liveAttempts(timeline)
        .map((attempt) => runningSentence(attempt, machine(attempt.peerId), job.atMs()))
        .join(' ');
    case 'leased': {
      const main = mainAttempt(timeline);
      const step = main?.fetchedMs == null ? 'fetches its inputs' : 'has its inputs and waits for a slot';
      return `${machine(main?.peerId)} has it and ${waiting.length > 0 ? 'builds what it needs first' : step}.`;
    }
    case 'waiting':
    case 'ready':
      if (job.state !== 'running') return 'Its job ended before it was built.';
      return (
        explainWaiting(timeline.drvPath) ??
        (state === 'ready' ? 'It is ready, and no machine has it yet.' : waitsSentence(waiting))
      );
  }
}

function builtSentence(timeline: Timeline, machine: (peerId: string | null) => string): string {
  const others = timeline.attempts.length - 1;
  const race =
    timeline.race === null
      ? ''
      : `, ${timeline.race.won ? 'second in a race and first to end' : 'ahead of a racer'}`;
  const again = others > 0 && timeline.race === null ? `, after ${count(others, 'other attempt')}` : '';
  return `${machine(timeline.peerId)} built it in ${seconds(timeline.buildMs)}${race}${again}.`;
}

function runningSentence(attempt: Attempt, machine: string, nowMs: number): string {
  const { startedMs, expectedMs, race } = attempt;
  if (startedMs === null) return `${machine} has it${race ? ' too, to race it,' : ''} and has not begun.`;
  const since = seconds(nowMs - startedMs);
  const expected = expectedMs > 0 ? `, expected to take ${seconds(expectedMs)}` : '';
  return `${machine} ${race ? 'races it' : 'builds it'} since ${since}${expected}.`;
}

function waitsSentence(waiting: readonly Timeline[]): string {
  const named = waiting.slice(0, 3).map(({ name }) => name);
  const more = waiting.length - named.length;
  return `It waits for ${count(waiting.length, 'derivation')} it needs: ${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}.`;
}

function failureOf(job: Job, { drvPath }: Timeline): string {
  const message = job.failures.findLast((failure) => failure.drvPath === drvPath)?.message;
  return message?.split('\n').find((line) => line.trim() !== '') ?? 'it gave no reason.';
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function seconds(ms: number): string {
  return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}
