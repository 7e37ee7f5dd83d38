import { describe, expect, test } from 'vitest';
import { FetchMeter, type FetchProgress, PROGRESS_INTERVAL_MS } from './fetch-progress.ts';

function metered() {
  let nowMs = 1_000;
  const told: FetchProgress[] = [];
  const meter = new FetchMeter(
    () => nowMs,
    (progress) => told.push(progress),
  );
  return { meter, told, pass: (ms: number) => (nowMs += ms) };
}

describe('the progress of a fetch', () => {
  test('tells what came, from whom, and how much there is in all', () => {
    const { meter, told, pass } = metered();
    meter.planned(3, 1_000);
    meter.came('a', 300);
    pass(PROGRESS_INTERVAL_MS);
    meter.came('b', 100);
    expect(told).toEqual([
      {
        pathsDone: 0,
        pathsTotal: 3,
        bytesDone: 400,
        bytesTotal: 1_000,
        bytesPerS: 1_600,
        sources: [
          { peer: 'a', bytes: 300 },
          { peer: 'b', bytes: 100 },
        ],
      },
    ]);
  });

  test('is told no more often than twice in half a second, however much comes', () => {
    const { meter, told, pass } = metered();
    meter.planned(1, 1_000_000);
    for (let ms = 0; ms < 1_000; ms += 1) {
      pass(1);
      meter.came('a', 1_000);
    }
    expect(told).toHaveLength(1_000 / PROGRESS_INTERVAL_MS);
    expect(told.map(({ bytesDone }) => bytesDone)).toEqual([250_000, 500_000, 750_000, 1_000_000]);
  });

  test('has the rate of the last seconds, not of all the time', () => {
    const { meter, told, pass } = metered();
    const run = (seconds: number, bytesPerS: number) => {
      for (let step = 0; step < seconds * 2; step += 1) {
        pass(500);
        meter.came('a', bytesPerS / 2);
      }
    };
    run(60, 10_000_000);
    run(5, 1_000_000);
    expect(told.at(-1)?.bytesPerS).toBeCloseTo(1_000_000);
  });

  test('a new plan is about what is left', () => {
    const { meter, told, pass } = metered();
    meter.planned(2, 500);
    meter.came('a', 200);
    meter.pathCame();
    meter.planned(1, 300);
    pass(PROGRESS_INTERVAL_MS);
    meter.pathCame();
    expect(told[0]).toMatchObject({ pathsDone: 2, pathsTotal: 2, bytesDone: 200, bytesTotal: 500 });
  });

  test('bytes that were of no use are taken back', () => {
    const { meter, told, pass } = metered();
    meter.planned(1, 500);
    meter.came('liar', 400);
    meter.came('liar', -400);
    pass(PROGRESS_INTERVAL_MS);
    meter.came('honest', 100);
    expect(told[0]).toMatchObject({ bytesDone: 100, bytesTotal: 500 });
  });
});
