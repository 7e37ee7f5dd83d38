import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BuildPredictor } from './prediction.ts';
import { parallelShare, wallMsOn } from './prediction-cores.ts';
import type { BuildRecord } from './prediction-record.ts';

const NOW = 1_790_000_000_000;
const SYSTEM = 'x86_64-linux';

function built(name: string, wallMs: number, more: Partial<BuildRecord> = {}): BuildRecord {
  return { name, system: SYSTEM, machine: 'm1', at: NOW, wallMs, outcome: 'built', ...more };
}

function predictorOf(records: readonly BuildRecord[]): BuildPredictor {
  const predictor = new BuildPredictor();
  for (const record of records) predictor.add(record, NOW);
  return predictor;
}

/** How far off, as a factor of 1 or more. */
function factor(predicted: number, actual: number): number {
  return Math.max(predicted / actual, actual / predicted);
}

describe('what is known of the name', () => {
  test('nothing at all: the cold guess, and it says so', () => {
    const { predictedMs, history } = predictorOf([]).predict('zlib-1.3', SYSTEM);
    expect(predictedMs).toBeGreaterThan(300);
    expect(history).toMatchObject({ basis: 'cold', samples: 0 });
  });

  test('one build of the very name tells nearly all', () => {
    const { predictedMs, history } = predictorOf([built('zlib-1.3', 40_000)]).predict('zlib-1.3', SYSTEM);
    expect(factor(predictedMs, 40_000)).toBeLessThan(1.5);
    expect(history).toMatchObject({ basis: 'name', samples: 1 });
  });

  test('many alike make it sure of itself, one does not', () => {
    const one = predictorOf([built('zlib-1.3', 40_000)]).predict('zlib-1.3', SYSTEM);
    const many = predictorOf(
      Array.from({ length: 12 }, (_, i) => built('zlib-1.3', 40_000 + 500 * (i % 3), { at: NOW - i })),
    ).predict('zlib-1.3', SYSTEM);
    expect(factor(many.predictedMs, 40_000)).toBeLessThan(1.1);
    expect(many.history.spread).toBeLessThan(one.history.spread);
  });

  test('another version: the family', () => {
    const { predictedMs, history } = predictorOf([
      built('python3.12-numpy-2.1', 90_000),
      built('python3.12-numpy-2.0', 80_000, { at: NOW - 1 }),
      built('python3.12-numpy-1.9', 85_000, { at: NOW - 2 }),
    ]).predict('python3.13-numpy-2.2', SYSTEM);
    expect(factor(predictedMs, 85_000)).toBeLessThan(2);
    expect(history).toMatchObject({ basis: 'family', samples: 3 });
  });

  test('another system: the same name, less surely', () => {
    const records = [1, 2, 3].map((i) => built('zlib-1.3', 40_000, { at: NOW - i }));
    const same = predictorOf(records).predict('zlib-1.3', SYSTEM);
    const other = predictorOf(records).predict('zlib-1.3', 'aarch64-linux');
    expect(factor(other.predictedMs, 40_000)).toBeLessThan(1.5);
    expect(other.history.spread).toBeGreaterThan(same.history.spread);
  });

  test('newer builds count more: it follows a package that has grown', () => {
    const old = Array.from({ length: 32 }, (_, i) => built('zlib-1.3', 10_000, { at: NOW - 1_000 - i }));
    const recent = Array.from({ length: 12 }, (_, i) => built('zlib-1.3', 60_000, { at: NOW - i }));
    expect(
      factor(predictorOf([...old, ...recent]).predict('zlib-1.3', SYSTEM).predictedMs, 60_000),
    ).toBeLessThan(1.2);
  });

  test('the order rows arrive in does not matter, only when they were built', () => {
    fc.assert(
      fc.property(
        fc
          .uniqueArray(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 50 })
          .chain((ages) =>
            fc.tuple(
              fc.constant(ages.map((age) => built('zlib-1.3', age * 100, { at: NOW - age }))),
              fc.shuffledSubarray(ages, { minLength: ages.length }),
            ),
          ),
        ([records, order]) => {
          const shuffled = order.map(
            (age) => records.find((record) => record.at === NOW - age) as BuildRecord,
          );
          expect(predictorOf(shuffled).predict('zlib-1.3', 'other').predictedMs).toBeCloseTo(
            predictorOf(records).predict('zlib-1.3', 'other').predictedMs,
            6,
          );
        },
      ),
      { numRuns: 50 },
    );
  });

  test('builds of everything else calibrate the cold guess', () => {
    const slowWorld = Array.from({ length: 30 }, (_, i) =>
      built(`thing${'abcdefghij'[i % 10]}${'klmnopqrst'[i % 7]}`, 600_000, { at: NOW - i }),
    );
    const before = predictorOf([]).predict('zlib-1.3', SYSTEM).predictedMs;
    expect(predictorOf(slowWorld).predict('zlib-1.3', SYSTEM).predictedMs).toBeGreaterThan(5 * before);
  });
});

describe('machines and cores', () => {
  test('durations are compared at speed 1', () => {
    const records = [0.5, 1, 2].map((speed, i) => built('zlib-1.3', 40_000 / speed, { speed, at: NOW - i }));
    expect(factor(predictorOf(records).predict('zlib-1.3', SYSTEM).predictedMs, 40_000)).toBeLessThan(1.2);
  });

  test('and on one core: what eight cores did in 10 s of 64 takes 64 s', () => {
    const records = [1, 2, 3].map((i) => built('llvm-19', 10_000, { cpuMs: 64_000, cores: 8, at: NOW - i }));
    const { predictedMs, history } = predictorOf(records).predict('llvm-19', SYSTEM);
    expect(factor(predictedMs, 64_000)).toBeLessThan(2);
    expect(history.busyCores).toBeCloseTo(6.4, 5);
    expect(wallMsOn(64_000, history.parallelShare ?? 0, 8)).toBeCloseTo(10_000, 0);
  });

  test('a build that waits is as long on any number of cores', () => {
    const share = parallelShare(10_000, 100, 8);
    expect(wallMsOn(10_000, share ?? 1, 16)).toBe(10_000);
  });

  test('more cores never make it longer, nor faster than so many times', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 1e6, noNaN: true }),
        fc.double({ min: 0, max: 1e8, noNaN: true }),
        fc.integer({ min: 2, max: 256 }),
        fc.integer({ min: 1, max: 256 }),
        (wallMs, cpuMs, cores, k) => {
          const share = parallelShare(wallMs, cpuMs, cores) ?? 0;
          const on = wallMsOn(1_000, share, k);
          expect(on).toBeLessThanOrEqual(1_000);
          expect(on).toBeGreaterThanOrEqual(1_000 / k - 1e-6);
        },
      ),
    );
  });
});

describe('what else is remembered', () => {
  test('the largest memory and the usual output', () => {
    const records = [1e9, 3e9, 2e9].map((memoryPeakBytes, i) =>
      built('zlib-1.3', 10_000, { memoryPeakBytes, outputBytes: 100 * (i + 1), at: NOW - i }),
    );
    expect(predictorOf(records).predict('zlib-1.3', SYSTEM).history).toMatchObject({
      memoryPeakBytes: 3e9,
      outputBytes: 200,
    });
  });

  test('that it ran out of memory, until it has not for a while', () => {
    const died = built('zlib-1.3', 10_000, { outcome: 'out-of-memory', memoryPeakBytes: 8e9, at: NOW - 100 });
    const after = (n: number) =>
      Array.from({ length: n }, (_, i) => built('zlib-1.3', 10_000, { at: NOW - i }));
    expect(predictorOf([died]).predict('zlib-1.3', SYSTEM).history).toMatchObject({
      ranOutOfMemory: true,
      memoryPeakBytes: 8e9,
    });
    expect(predictorOf([died, ...after(3)]).predict('zlib-1.3', SYSTEM).history.ranOutOfMemory).toBe(true);
    expect(
      predictorOf([died, ...after(8)]).predict('zlib-1.3', SYSTEM).history.ranOutOfMemory,
    ).toBeUndefined();
  });

  test('failed builds say nothing about how long good ones take', () => {
    const { history } = predictorOf([built('zlib-1.3', 5, { outcome: 'failed' })]).predict(
      'zlib-1.3',
      SYSTEM,
    );
    expect(history.basis).toBe('cold');
  });
});

describe('bad rows', () => {
  const absurd: [string, Partial<BuildRecord>][] = [
    ['no time', { wallMs: 0 }],
    ['negative time', { wallMs: -5 }],
    ['not a number', { wallMs: Number.NaN }],
    ['endless', { wallMs: Number.POSITIVE_INFINITY }],
    ['31 days', { wallMs: 31 * 86_400_000 }],
    ['from the future', { at: NOW + 2 * 3_600_000 }],
    ['from 1970', { at: 5 }],
    ['a machine of infinite speed', { speed: Number.POSITIVE_INFINITY }],
    ['a machine of no speed', { speed: 0 }],
    ['negative memory', { memoryPeakBytes: -1 }],
    ['negative processor time', { cpuMs: -1 }],
  ];
  test.each(absurd)('%s is ignored', (_, fields) => {
    const predictor = new BuildPredictor();
    expect(predictor.add(built('zlib-1.3', 40_000, fields), NOW)).toBe(false);
    expect(predictor.predict('zlib-1.3', SYSTEM)).toEqual(new BuildPredictor().predict('zlib-1.3', SYSTEM));
  });

  const duration = fc.double({ min: 1, max: 30 * 86_400_000, noNaN: true });

  test('one outlier among three or more moves the answer no further than the others are apart, and a little', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 10_000, max: 20_000, noNaN: true }), { minLength: 4, maxLength: 20 }),
        duration,
        (usual, outlier) => {
          const records = usual.map((wallMs, i) => built('zlib-1.3', wallMs, { at: NOW - 10 - i }));
          const before = predictorOf(records).predict('zlib-1.3', SYSTEM).predictedMs;
          const after = predictorOf([...records, built('zlib-1.3', outlier)]).predict(
            'zlib-1.3',
            SYSTEM,
          ).predictedMs;
          expect(factor(after, before)).toBeLessThan(2.2);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('a single row, whatever it says, moves it by a bounded factor', () => {
    fc.assert(
      fc.property(duration, (wallMs) => {
        const cold = predictorOf([]).predict('zlib-1.3', SYSTEM).predictedMs;
        const { predictedMs } = predictorOf([built('zlib-1.3', wallMs)]).predict('zlib-1.3', SYSTEM);
        expect(factor(predictedMs, cold)).toBeLessThan(1_000);
      }),
      { numRuns: 100 },
    );
  });

  test('predictions are finite and positive whatever was fed', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            wallMs: fc.double(),
            at: fc.oneof(fc.constant(NOW), fc.double()),
            speed: fc.oneof(fc.constant(1), fc.double()),
            cpuMs: fc.option(fc.double(), { nil: undefined }),
            cores: fc.option(fc.double(), { nil: undefined }),
            memoryPeakBytes: fc.option(fc.double(), { nil: undefined }),
          }),
          { maxLength: 40 },
        ),
        (rows) => {
          const { predictedMs, history } = predictorOf(
            rows.map((row) => built('zlib-1.3', row.wallMs, row)),
          ).predict('zlib-1.3', SYSTEM);
          expect(predictedMs).toBeGreaterThan(0);
          expect(Number.isFinite(predictedMs)).toBe(true);
          expect(Number.isFinite(history.spread)).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('whom to believe', () => {
  test('builds of a peer that counts little are outvoted by a few of one that counts', () => {
    const predictor = new BuildPredictor((origin) => (origin === 'removed' ? 0.25 : 1));
    for (let i = 0; i < 6; i++)
      predictor.add(built('zlib-1.3', 1_000, { origin: 'removed', at: NOW - i }), NOW);
    for (let i = 0; i < 4; i++)
      predictor.add(built('zlib-1.3', 30_000, { origin: 'here', at: NOW - 10 - i }), NOW);
    expect(predictor.predict('zlib-1.3', SYSTEM).predictedMs).toBeGreaterThan(10_000);
  });
});
