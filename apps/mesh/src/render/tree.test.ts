import type { JobEvent } from '@mesh/wire';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordedFetch, recordedJob, recordedRace } from '../testing/recorded-job.ts';
import { Screen } from '../testing/screen.ts';
import { applyEvent, initialJobState } from './job-state.ts';
import { createStyle } from './style.ts';
import { visibleLength } from './text.ts';
import { createTreeRenderer } from './tree.ts';
import { treeLines } from './tree-lines.ts';

const PLAIN = createStyle(false);
const QUIET = { verbose: false, logs: false, dryRun: false };
const WIDE = { columns: 100, rows: 40 };

function linesAfter(count: number, nowMs: number, size = WIDE, events = recordedJob): string[] {
  const state = initialJobState();
  for (const event of events.slice(0, count)) applyEvent(state, event);
  return treeLines(state, nowMs, size, PLAIN);
}

/** A clock that stands still until it is told; timers fire when it passes them. */
function manualClock() {
  let nowMs = 0;
  const timers = new Set<{ atMs: number; callback: () => void }>();
  return {
    nowMs: () => nowMs,
    setTimeout(callback: () => void, ms: number) {
      const timer = { atMs: nowMs + ms, callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    pending: () => timers.size,
    advance(ms: number) {
      nowMs += ms;
      for (const timer of [...timers]) {
        if (timer.atMs > nowMs || !timers.delete(timer)) continue;
        timer.callback();
      }
    },
  };
}

function liveTree(columns = 100, rows = 40) {
  const screen = new Screen(columns);
  const clock = manualClock();
  const resize = new Set<() => void>();
  const size = { columns, rows };
  const terminal = {
    write: (text: string) => screen.write(text),
    size: () => size,
    onResize(listener: () => void) {
      resize.add(listener);
      return () => resize.delete(listener);
    },
  };
  return { screen, clock, resize, renderer: createTreeRenderer(terminal, QUIET, PLAIN, clock) };
}

describe('the lines of the tree', () => {
  it('say that evaluation runs before there is a plan', () => {
    expect(linesAfter(1, 1_500)).toEqual(['evaluating  1.5 s']);
  });

  it('show what a machine fetches, then what it builds, for how long and in which phase', () => {
    expect(linesAfter(5, 120)).toEqual([
      'mesh 0/3 built, 0 building, 1 preparing  0.1 s',
      '└─ h2  0 built',
      '   └─ zlib-1.3  fetching 2 paths, 1.2 MB  0.1 s',
    ]);
    expect(linesAfter(7, 2_100)).toEqual([
      'mesh 0/3 built, 1 building  2.1 s',
      '└─ h2  0 built',
      '   └─ zlib-1.3  buildPhase  2.0 s',
    ]);
  });

  it('move a build to another machine when its own is gone', () => {
    expect(linesAfter(14, 3_420)).toEqual([
      'mesh 1/3 built, 2 building  3.4 s',
      '├─ h1  0 built',
      '│  └─ libpng-1.6  0.0 s',
      '├─ h2  gone',
      '└─ h3  0 built',
      '   └─ jq-1.7  0.1 s',
    ]);
  });

  it('show both machines of a race, each with its own phase, and only the winner after it', () => {
    expect(linesAfter(8, 6_000, WIDE, recordedRace)).toEqual([
      'mesh 0/1 built, 2 building  6.0 s',
      '├─ h2  0 built',
      '│  └─ gcc-14  5.9 s',
      '└─ h3  0 built',
      '   └─ gcc-14  racing h2  buildPhase  0.9 s',
    ]);
    expect(linesAfter(9, 9_000, WIDE, recordedRace)).toEqual([
      'mesh 0/1 built, 1 building  9.0 s',
      '├─ h2  0 built',
      '└─ h3  0 built',
      '   └─ gcc-14  buildPhase  3.9 s',
    ]);
  });

  it('show how far a fetch is, from whom, and when nothing comes any more', () => {
    const size = { columns: 120, rows: 40 };
    const at = (count: number, nowMs: number) => linesAfter(count, nowMs, size, recordedFetch);
    expect(at(4, 1_600)[2]).toBe(
      '   └─ jq-1.7  fetching 3 of 12 paths, 12.3 MB of 41.9 MB, 35.0 MB/s from h1, upstream  0.6 s',
    );
    expect(at(4, 13_500)[2]).toBe(
      '   └─ jq-1.7  fetching 3 of 12 paths, 12.3 MB of 41.9 MB, nothing for 12.0 s from h1, upstream  12.5 s',
    );
    expect(at(8, 9_800)[0]).toBe(
      'mesh 1/1 built, 0 building, fetching the result: 2.0 MB of 5.0 MB, 4.0 MB/s from h2  9.8 s',
    );
  });

  it('fit every terminal', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: recordedJob.length }),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 12 }),
        (count, columns, rows) => {
          const lines = linesAfter(count, 5_000, { columns, rows });
          expect(lines.length).toBeLessThanOrEqual(Math.max(1, rows - 2));
          for (const line of lines) expect(visibleLength(line)).toBeLessThan(columns);
        },
      ),
    );
  });

  it('count what does not fit', () => {
    expect(linesAfter(14, 3_420, { columns: 100, rows: 6 }).at(-1)).toBe('… 3 more');
  });
});

describe('the live tree', () => {
  const lasting = [
    'h2: could not finish libpng-1.6 (the machine is gone); it goes elsewhere',
    'h2: gone',
    'h3: failed to build jq-1.7 after 0.2 s: builder failed with exit code 2',
    'failed to build 1 derivation (jq-1.7)',
  ];

  it('leaves only what lasts on the screen, and the cursor where it was', () => {
    const { screen, clock, resize, renderer } = liveTree();
    for (const event of recordedJob) {
      renderer.event(event);
      clock.advance(50);
    }
    renderer.close();
    expect(screen.cursorVisible).toBe(true);
    expect(screen.text).not.toMatch(/[├└]|evaluating|\d built,/);
    for (const line of lasting) expect(screen.text).toContain(line);
    expect(clock.pending()).toBe(0);
    expect(resize.size).toBe(0);
  });

  it('runs its clocks between events', () => {
    const { screen, clock, renderer } = liveTree();
    for (const event of recordedJob.slice(0, 6)) renderer.event(event);
    clock.advance(1_000);
    expect(screen.text).toMatch(/zlib-1\.3 {2}0\.9 s/);
    clock.advance(1_000);
    expect(screen.text).toMatch(/zlib-1\.3 {2}1\.9 s/);
    renderer.close();
  });

  it('takes the tree away when it is closed in the middle, as Ctrl-C does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: recordedJob.length - 1 }), fc.nat(400), (count, stepMs) => {
        const { screen, clock, renderer } = liveTree();
        for (const event of recordedJob.slice(0, count)) {
          renderer.event(event);
          clock.advance(stepMs);
        }
        renderer.close();
        expect(screen.cursorVisible).toBe(true);
        expect(screen.text).not.toMatch(/[├└]|evaluating|\d built,/);
      }),
    );
  });

  it('draws a storm of events once', () => {
    const { clock, renderer, screen } = liveTree();
    const event: JobEvent = { type: 'planned', atMs: 1, toBuild: 1, toFetch: 0, valid: 0 };
    clock.advance(1_000);
    let writes = 0;
    const write = screen.write.bind(screen);
    screen.write = (text) => {
      writes += 1;
      write(text);
    };
    for (let i = 0; i < 1_000; i++) renderer.event({ ...event, toBuild: i });
    expect(writes).toBeLessThanOrEqual(1);
    clock.advance(100);
    expect(screen.text).toContain('0/999 built');
    renderer.close();
  });
});
