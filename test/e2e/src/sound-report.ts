import { type JobReport, jobReportSchema } from '@mesh/wire';
import * as v from 'valibot';
import { expect } from 'vitest';

/** Sums of fractions of milliseconds are only equal to within rounding. */
const ROUNDING_MS = 1e-3;

/**
 * The report of a job that was built, checked against its schema and itself: times in order, sums that agree, no machine with more
 * builds at a time than it has slots.
 */
export function soundReport(written: unknown, slots = 2): JobReport {
  const report = v.parse(jobReportSchema, written);
  expect(report.ok).toBe(true);
  expect(Date.parse(report.startedAt)).not.toBeNaN();
  for (const derivation of report.derivations) expectOrderedTimes(derivation, report.wallMs);
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
  const changes = built.flatMap(({ startedMs, finishedMs }) => [
    { at: startedMs!, by: 1 },
    { at: finishedMs!, by: -1 },
  ]);
  let running = 0;
  for (const { by } of changes.sort((a, b) => a.at - b.at || a.by - b.by)) {
    running += by;
    expect(running, `builds at a time on ${peer.name}`).toBeLessThanOrEqual(slots);
  }
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
