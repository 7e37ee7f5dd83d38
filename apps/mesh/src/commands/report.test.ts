import type { JobReport } from '@mesh/wire';
import { describe, expect, it } from 'vitest';
import { createStyle } from '../render/style.ts';
import { drv, reportedHindsight, reportOf } from '../testing/recorded-job.ts';
import { reportText } from './report.ts';

const PLAIN = createStyle(false);

const twoBuilds = (changes: Partial<JobReport> = {}) =>
  reportOf(
    [
      ['zlib', 'h2', 'built'],
      ['old', null, 'valid'],
    ],
    changes,
  );

describe('mesh report', () => {
  it('says how far from the least possible time a job was, who did what, and what took longest', () => {
    expect(reportText(twoBuilds(), PLAIN).split('\n')).toEqual([
      'job-1: built in 4.3 s (1.07 times the least possible, 4.0 s)',
      'started 2026-11-22T10:00:00.000Z, 2 derivations, 0 B fetched',
      '',
      'MACHINE  SPEED  SLOTS  BUILDS   BUSY  IDLE  FETCHED  SERVED',
      'h2           -      -       1  3.2 s     -   2.0 MB  1.5 kB',
      '',
      'Builds, the longest first:',
      'BUILD  MACHINE   TOOK  EXPECTED  WAITED  OUTCOME',
      'zlib   h2       3.2 s         -   0.1 s  built',
      '',
      'Critical path: zlib',
    ]);
  });

  it('names what the time beyond the least possible went to, the largest first', () => {
    const text = reportText(twoBuilds(reportedHindsight), PLAIN);
    expect(text).toContain(
      [
        'The least possible here was 3.3 s, all work on all slots: more or faster',
        '  machines would shorten it.',
        'The other 1.0 s went to: waiting for a free slot (too few machines, or others',
        '  went first) 600 ms; transfers of inputs 350 ms; overhead (messages, roots,',
        '  starting builds) 50 ms.',
      ].join('\n'),
    );
  });

  it('says what one more machine would have saved, and what races cost', () => {
    const text = reportText(twoBuilds(reportedHindsight), PLAIN);
    expect(text).toContain(
      [
        '2 races, 1 won by the second machine; 0.9 s of slot time lost (3.5 %).',
        'One more machine like h1 or h3 would have saved about 1.3 s.',
        'One more machine like h2 would have saved nothing.',
      ].join('\n'),
    );
    expect(text).not.toContain('idle for');
  });

  it('says when a slot here stood idle for nothing, and which outputs differ', () => {
    const text = reportText(
      twoBuilds({
        homeIdle: { count: 1, ms: 2_000 },
        differing: [
          {
            drvPath: drv('zlib'),
            name: 'zlib',
            output: '/nix/store/x-zlib',
            first: { peer: 'h2', narHash: 'sha256:aaa' },
            second: { peer: 'h3', narHash: 'sha256:bbb' },
          },
        ],
      }),
      PLAIN,
    );
    expect(text.replaceAll('\n  ', ' ')).toContain(
      '1 derivation would have ended sooner here, where a slot was idle for 2.0 s.',
    );
    expect(text.replaceAll('\n  ', ' ')).toContain(
      'zlib is not deterministic: /nix/store/x-zlib is sha256:aaa from h2, which is used, and sha256:bbb from h3.',
    );
  });

  it('gives the reason for every place with -v only', () => {
    const reason = 'zlib on h2: first in the queue, nothing to fetch';
    expect(reportText(twoBuilds(), PLAIN)).not.toContain(reason);
    expect(reportText(twoBuilds(), PLAIN, true)).toContain(reason);
  });

  it('fits 80 columns, however long names and paths are', () => {
    const names = Array.from({ length: 30 }, (_, i) => `${'python3.12-some-very-long-name-'.repeat(2)}${i}`);
    const report = reportOf(
      names.map((name) => [name, 'h2', 'built'] as const),
      { ...reportedHindsight, criticalPath: names.map(drv) },
    );
    for (const line of reportText(report, PLAIN, true).split('\n'))
      expect(line.trim().includes(' ') ? line.length : 0, line).toBeLessThanOrEqual(80);
  });
});
