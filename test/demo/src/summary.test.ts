import type { Report } from '@mesh/lab';
import { describe, expect, test } from 'vitest';
import { idleMachines, summary } from './summary.ts';

const built = { attempt: 1, readyMs: 0, leasedMs: 5, fetchedMs: 10, outcome: 'built', why: '' };
const report: Report = {
  version: 1,
  job: 'job',
  ok: true,
  wallMs: 6000,
  lowerBoundMs: 5900,
  criticalPath: [],
  bytesFetched: 0,
  peers: [
    { name: 'h1', builds: 1, busyMs: 1000, bytesIn: 0, bytesOut: 2 ** 20 },
    { name: 'h2', builds: 1, busyMs: 4900, bytesIn: 2 ** 20, bytesOut: 0 },
  ],
  derivations: [
    { ...built, drvPath: '/nix/store/b.drv', name: 'jq-1.6', peer: 'h2', startedMs: 1100, finishedMs: 6000 },
    {
      ...built,
      drvPath: '/nix/store/a.drv',
      name: 'libonig-6.9.8',
      peer: 'h1',
      startedMs: 20,
      finishedMs: 1020,
    },
  ],
};

describe('the summary of a build', () => {
  test('names each derivation, its machine and its time, first finished first', () => {
    expect(summary(report).slice(0, 3)).toEqual([
      'derivation     machine  outcome   took  done at',
      'libonig-6.9.8  h1       built    1.0 s    1.0 s',
      'jq-1.6         h2       built    4.9 s    6.0 s',
    ]);
  });

  test('puts derivations that never ran last, with no times', () => {
    const skipped = {
      ...report.derivations[0]!,
      name: 'all',
      outcome: 'skipped',
      peer: null,
      startedMs: null,
      finishedMs: null,
    };
    const lines = summary({ ...report, derivations: [skipped, ...report.derivations] });
    expect(lines[3]).toBe('all            -        skipped      -        -');
  });

  test('says how much building was done in how much time', () => {
    expect(summary(report).at(-1)).toBe(
      '5.9 s of building in 6.0 s; the longest chain of builds alone is 5.9 s.',
    );
  });

  test('a machine that built nothing is idle, also when a build failed there', () => {
    const failed = { ...report.derivations[0]!, peer: 'h3', outcome: 'failed' };
    const withFailure = { ...report, derivations: [...report.derivations, failed] };
    expect(idleMachines(withFailure, ['h1', 'h2', 'h3', 'h4'])).toEqual(['h3', 'h4']);
  });
});
