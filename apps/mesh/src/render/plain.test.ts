import type { JobEvent } from '@mesh/wire';
import { describe, expect, it } from 'vitest';
import {
  drv,
  finishedWith,
  recordedFetch,
  recordedJob,
  recordedRace,
  reportOf,
} from '../testing/recorded-job.ts';
import { createNdjsonRenderer } from './ndjson.ts';
import { createPlainRenderer } from './plain.ts';
import type { RenderOptions } from './renderer.ts';
import { createStyle } from './style.ts';

const QUIET: RenderOptions = { verbose: false, logs: false, dryRun: false };

function plain(events: readonly JobEvent[], options: Partial<RenderOptions> = {}, colour = false): string {
  let out = '';
  const write = (text: string) => {
    out += text;
  };
  const renderer = createPlainRenderer(write, { ...QUIET, ...options }, createStyle(colour));
  for (const event of events) renderer.event(event);
  renderer.close();
  return out;
}

describe('the plain renderer', () => {
  it('tells where each build starts and ends, why one failed, and the sum', () => {
    expect(plain(recordedJob)).toBe(
      [
        'h2: building zlib-1.3',
        'h2: built zlib-1.3 in 3.2 s',
        'h2: building libpng-1.6',
        'h3: building jq-1.7',
        'h2: could not finish libpng-1.6 (the machine is gone); it goes elsewhere',
        'h2: gone',
        'h1: building libpng-1.6',
        'h3: failed to build jq-1.7 after 0.2 s: builder failed with exit code 2',
        '  the last 2 lines of its log:',
        '  > jq.c:1: error: no',
        '  > make: *** [jq.o] Error 1',
        `  the whole log: mesh log ${drv('jq-1.7')}`,
        'h1: built libpng-1.6 in 0.9 s',
        'failed to build 1 derivation (jq-1.7); built 2 derivations on 2 machines in 4.3 s (h1 1, h2 1)',
        '',
      ].join('\n'),
    );
  });

  it('tells how far a long fetch is, and nothing of one that is over soon', () => {
    const [progress] = recordedFetch.filter((event) => event.type === 'fetch-progress');
    const later = [2_000, 10_900, 11_000, 15_000, 22_000].map((atMs) => ({ ...progress!, atMs }));
    const line = 'h2: fetching for jq-1.7: 3 of 12 paths, 12.3 MB of 41.9 MB, 35.0 MB/s from h1, upstream';
    expect(
      plain([...recordedFetch.slice(0, 4), ...later])
        .trimEnd()
        .split('\n'),
    ).toEqual([line, line]);
    expect(plain(recordedFetch)).toBe(
      ['h2: building jq-1.7', 'h2: built jq-1.7 in 0.1 s', 'fetching the result: 1 path, 5.0 MB', ''].join(
        '\n',
      ),
    );
  });

  it.each([
    [
      '2.34',
      "Cannot build '/nix/store/x.drv'.\nReason: builder failed with exit code 1.\nLast 1 log lines:\n> no\nFor full logs, run:",
      'builder failed with exit code 1',
    ],
    [
      '2.26',
      "builder for '/nix/store/x.drv' failed with exit code 1;\n       last 1 log lines:\n       > no",
      "builder for '/nix/store/x.drv' failed with exit code 1",
    ],
  ])("takes the reason out of Nix %s's message and leaves the log it repeats", (_, message, reason) => {
    const event: JobEvent = {
      type: 'finished',
      atMs: 1,
      drvPath: drv('x'),
      name: 'x',
      peer: 'h1',
      outcome: 'failed',
      durationMs: 100,
      message,
    };
    expect(plain([event]).split('\n')[0]).toBe(`h1: failed to build x after 0.1 s: ${reason}`);
  });

  it('prefixes log lines with the name of their derivation, with -L only', () => {
    expect(plain(recordedJob)).not.toContain('adler32');
    expect(plain(recordedJob, { logs: true })).toContain(
      'zlib-1.3> cc -c adler32.c\nzlib-1.3> cc -c crc32.c\n',
    );
  });

  it('says with -v who took what and why, and what was fetched', () => {
    const text = plain(recordedJob, { verbose: true });
    expect(text).toContain('h2: takes zlib-1.3: first in the queue\n');
    expect(text).toContain('h2: fetching 2 paths (1.2 MB) for zlib-1.3\n');
  });

  it('tells of a race, its end, and of outputs that differ', () => {
    expect(plain(recordedRace).split('\n')).toEqual([
      'h2: building gcc-14',
      'h3: races h2 for gcc-14',
      'h3: building gcc-14',
      'h3: was first with gcc-14; h2 stops after 8.9 s',
      'h3: built gcc-14 in 3.9 s',
      'warning: gcc-14 is not deterministic: two machines built /nix/store/x-gcc-14 differently',
      '  h3: sha256:aaa (this one is used)',
      '  h2: sha256:bbb',
      '',
    ]);
  });

  it('has no escape sequences without colour, and has them with it', () => {
    expect(plain(recordedJob)).not.toContain('\u001b');
    expect(plain(recordedJob, {}, true)).toContain('\u001b[32mbuilt\u001b[39m');
  });

  it('lets no log line steer the terminal', () => {
    const event: JobEvent = {
      type: 'log',
      atMs: 1,
      drvPath: drv('x'),
      name: 'x',
      lines: ['\u001b[2J\u001b]0;owned\u0007text\u001b[31mred', 'progress 1\rprogress 2'],
    };
    expect(plain([event], { logs: true })).toBe('x> textred\nx> progress 2\n');
    expect(plain([event], { logs: true }, true)).toContain('> text\u001b[31mred\u001b[0m\n');
  });

  it('names what a dry run would build and adds no sum', () => {
    const events: JobEvent[] = [
      {
        type: 'planned',
        atMs: 1,
        toBuild: 2,
        toFetch: 1,
        valid: 0,
        derivations: ['a', 'b'].map((name) => ({ name, drvPath: drv(name) })),
      },
      finishedWith(reportOf([])),
    ];
    expect(plain(events, { dryRun: true })).toBe(
      `would build 2 derivations:\n  ${drv('a')}\n  ${drv('b')}\nwould fetch 1 path\n`,
    );
  });
});

describe('the sum of a job', () => {
  const last = (event: JobEvent) => plain([event]).trimEnd();

  it('counts machines in their natural order', () => {
    const builds = Array.from(
      { length: 24 },
      (_, i) => [`d${i}`, ['h2', 'h10', 'h1'][i % 3]!, 'built'] as const,
    );
    expect(last(finishedWith(reportOf(builds)))).toBe(
      'built 24 derivations on 3 machines in 4.3 s (h1 8, h2 8, h10 8)',
    );
  });

  it('names the one machine there was', () => {
    expect(last(finishedWith(reportOf([['a', 'h1', 'built']])))).toBe('built 1 derivation on h1 in 4.3 s');
  });

  it('says when there was nothing to build', () => {
    const there = reportOf([['a', null, 'valid']], { wallMs: 120 });
    expect(last(finishedWith(there))).toBe('done: nothing had to be built, everything was there (0.1 s)');
    expect(last(finishedWith({ ...there, bytesFetched: 9 }))).toBe(
      'done: nothing had to be built, everything was fetched in 0.1 s',
    );
  });

  it('counts what a failure left untried, and names only the first failures', () => {
    const failures = ['a', 'b', 'c', 'd', 'e'].map((name) => [name, 'h1', 'failed'] as const);
    expect(last(finishedWith(reportOf([...failures, ['z', null, 'skipped']])))).toBe(
      'failed to build 5 derivations (a, b, c and 2 more); 1 not tried because they need what failed',
    );
  });

  it('says that a job was cancelled', () => {
    const cancelled = finishedWith(reportOf([['a', 'h1', 'cancelled']]), { cancelled: true, ok: false });
    expect(last(cancelled)).toBe('cancelled after 4.3 s');
  });
});

describe('the JSON renderer', () => {
  it('writes every event as it came, one a line', () => {
    let out = '';
    const renderer = createNdjsonRenderer((text) => {
      out += text;
    });
    for (const event of recordedJob) renderer.event(event);
    expect(
      out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(recordedJob);
  });
});
