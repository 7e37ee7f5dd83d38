import { type AttemptReport, type JobReport, jobReportSchema } from '@mesh/wire';
import * as v from 'valibot';
import { expect } from 'vitest';

/** Sums of fractions of milliseconds are only equal to within rounding. */
const ROUNDING_MS = 1e-3;
/** The clock is read once more between two things that happen together. */
const SAME_MOMENT_MS = 20;

/**
 * The report of a job that was built, checked against its schema and itself: times in order, sums that agree, no machine with more
 * builds at a time than it has slots; Infinity for machines without an agent, whose builds end with their outputs here and leave their
 * slots before that.
 */
export function soundReport(written: unknown, slots = 2): JobReport {
  const report = v.parse(jobReportSchema, written);
  expect(report.ok).toBe(true);
  expect(Date.parse(report.startedAt)).not.toBeNaN();
  for (const derivation of report.derivations) {
    expectOrderedTimes(derivation, report.wallMs);
    expectAttempts(derivation);
  }
  expectRaces(report);
  for (const peer of report.peers) expectOwnWork(peer, report, slots);
  expectBound(report);
  expectHindsight(report);
  const sum = (side: 'bytesIn' | 'bytesOut') => report.peers.reduce((bytes, peer) => bytes + peer[side], 0);
  expect(sum('bytesIn')).toBe(report.bytesFetched);
  expect(sum('bytesOut')).toBe(report.bytesFetched);
  return report;
}

function expectOrderedTimes(derivation: JobReport['derivations'][number], wallMs: number): void {
  const { name, outcome, readyMs, leasedMs, fetchedMs, startedMs, finishedMs } = derivation;
  expect(['built', 'valid'], `${name} in a job that was built`).toContain(outcome);
  const times = [0, readyMs, leasedMs, fetchedMs, startedMs, finishedMs, wallMs];
  if (outcome === 'built') {
    expect(times, `${name} went through all steps`).not.toContain(null);
    expect(derivation.peer).not.toBeNull();
    expect(derivation.attempt).toBeGreaterThanOrEqual(1);
    expect(derivation.why, `the reason why ${name} went where it went`).not.toBe('');
  }
  const known = times.filter((time) => time !== null);
  expect(known, `times of ${name}`).toEqual(known.toSorted((a, b) => a - b));
}

function expectOwnWork(peer: JobReport['peers'][number], report: JobReport, slots: number): void {
  const built = report.derivations.filter(
    (derivation) => derivation.peer === peer.name && derivation.outcome === 'built',
  );
  expect(peer.builds, `builds of ${peer.name}`).toBe(built.length);
  expect(peer.busyMs).toBeLessThanOrEqual(slots * report.wallMs);
  const running = report.derivations
    .flatMap(runsOf)
    .filter((run) => run.peer === peer.name && run.startedMs !== null && run.endedMs !== null);
  expectNoMore(running, () => 1, slots, `builds at a time on ${peer.name}`);
  if (peer.cores !== undefined && Number.isFinite(slots))
    expectNoMore(running, ({ cores }) => cores, peer.cores, `cores of builds at a time on ${peer.name}`);
}

type Run = Pick<AttemptReport, 'peer' | 'startedMs' | 'endedMs' | 'cores'>;

/** Every time a machine was at it. */
function runsOf(derivation: JobReport['derivations'][number]): Run[] {
  const { attempts, peer, startedMs, finishedMs, cores = 1 } = derivation;
  if (attempts !== undefined) return attempts;
  return peer === null ? [] : [{ peer, startedMs, endedMs: finishedMs, cores }];
}

function expectNoMore(runs: readonly Run[], weigh: (run: Run) => number, most: number, what: string): void {
  const changes = runs.flatMap((run) => [
    { at: run.startedMs!, by: weigh(run) },
    { at: run.endedMs!, by: -weigh(run) },
  ]);
  let taken = 0;
  for (const { by } of changes.sort((a, b) => a.at - b.at || a.by - b.by)) {
    taken += by;
    expect(taken, what).toBeLessThanOrEqual(most);
  }
}

/** One attempt made it, the others ended otherwise and before; the derivation's own figures are the winner's. */
function expectAttempts(derivation: JobReport['derivations'][number]): void {
  const { attempts, name, peer, attempt, why, startedMs, finishedMs, race } = derivation;
  if (attempts === undefined) {
    expect(race, `a race for ${name} without attempts`).toBeUndefined();
    return;
  }
  expect(attempts.length, `attempts of ${name}`).toBeGreaterThan(0);
  const numbers = attempts.map((each) => each.attempt);
  expect(new Set(numbers).size, `attempt numbers of ${name}`).toBe(numbers.length);
  for (const { leasedMs, fetchedMs, startedMs: begun, endedMs, outcome } of attempts) {
    expect(outcome, `an attempt of ${name} in a job that is over`).not.toBeNull();
    const known = [leasedMs, fetchedMs, begun, endedMs].filter((time) => time !== null);
    expect(known, `times of an attempt of ${name}`).toEqual(known.toSorted((a, b) => a - b));
  }
  if (derivation.outcome !== 'built') return;
  const won = attempts.filter(({ outcome }) => outcome === 'won');
  expect(won, `the attempt that made ${name}`).toMatchObject([{ peer, attempt, why, startedMs }]);
  expect(Math.abs(won[0]!.endedMs! - finishedMs!), `its end and that of ${name}`).toBeLessThan(
    SAME_MOMENT_MS,
  );
  const lost = attempts.filter(({ outcome }) => outcome === 'lost');
  expect(lost.length > 0, `whether machines raced for ${name}`).toBe(race !== undefined);
  if (race !== undefined) expect(won[0]!.race).toBe(race.won);
}

/** What is said of all races is what is said of each. */
function expectRaces({ races, derivations }: JobReport): void {
  if (races === undefined) return;
  const raced = derivations.flatMap(({ race }) => race ?? []);
  expect(races.won).toBe(raced.filter(({ won }) => won).length);
  expect(races.count).toBeGreaterThanOrEqual(raced.length);
  expect(races.wastedMs).toBeGreaterThanOrEqual(raced.reduce((sum, { wastedMs }) => sum + wastedMs, 0) - 1);
}

function expectBound(report: JobReport): void {
  const derivations = new Set(report.derivations.map(({ drvPath }) => drvPath));
  expect(report.lowerBoundMs).toBeLessThanOrEqual(report.wallMs + ROUNDING_MS);
  expect(new Set(report.criticalPath).size).toBe(report.criticalPath.length);
  for (const drvPath of report.criticalPath) expect(derivations).toContain(drvPath);
  if (report.derivations.some(({ outcome }) => outcome === 'built')) {
    expect(report.lowerBoundMs).toBeGreaterThan(0);
    expect(report.criticalPath.length).toBeGreaterThan(0);
  }
}

/** What the report says of its own time adds up, and promises nothing impossible. */
function expectHindsight({ wallMs, lowerBoundMs, losses, chain, whatIf, races, peers }: JobReport): void {
  const lost = losses?.reduce((sum, { ms }) => sum + ms, 0);
  expect(lost, 'the sum of what was lost').toBeCloseTo(wallMs - lowerBoundMs, 1);
  expect(new Set(chain).size, 'derivations in the deciding chain').toBe(chain?.length);
  for (const { wallMs: withOneMore, savedMs } of whatIf ?? []) {
    expect(savedMs).toBeGreaterThanOrEqual(0);
    expect(withOneMore + savedMs).toBeCloseTo(wallMs, 0);
  }
  expect(races?.wastedShare).toBeLessThanOrEqual(1);
  for (const { slots, idleMs } of peers)
    expect(idleMs ?? 0).toBeLessThanOrEqual((slots ?? 0) * wallMs + ROUNDING_MS);
}
