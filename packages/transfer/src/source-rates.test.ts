import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MeasuredSourceRates, UPSTREAM } from './source-rates.ts';
import { SourceRatesFile } from './source-rates-file.ts';

const MIB = 1024 * 1024;

describe('the rate of a source', () => {
  test('is a guess before anything came: members are nearer than substituters', () => {
    const rates = new MeasuredSourceRates();
    expect(rates.rateOf('peer')).toBeGreaterThan(rates.rateOf(UPSTREAM));
    expect(rates.latencyOf('peer')).toBeLessThan(rates.latencyOf(UPSTREAM));
  });

  test('becomes what is measured', () => {
    const rates = new MeasuredSourceRates();
    for (let i = 0; i < 30; i += 1) {
      rates.observed('slow', MIB, 1_000);
      rates.answered('slow', 40);
    }
    expect(rates.rateOf('slow')).toBeCloseTo(MIB / 1_000, -2);
    expect(rates.latencyOf('slow')).toBeCloseTo(40, 0);
    expect(rates.rateOf('other')).toBe(new MeasuredSourceRates().rateOf('other'));
  });

  test('does not follow one odd transfer, and small ones tell nothing', () => {
    const rates = new MeasuredSourceRates();
    for (let i = 0; i < 30; i += 1) rates.observed('peer', 100 * MIB, 1_000);
    const before = rates.rateOf('peer');
    rates.observed('peer', 10, 1_000);
    expect(rates.rateOf('peer')).toBe(before);
    rates.observed('peer', MIB, 1_000_000);
    expect(rates.rateOf('peer')).toBeGreaterThan(before / 2);
  });

  test('stays a number whatever is observed', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.double(), fc.double())), (observations) => {
        const rates = new MeasuredSourceRates();
        for (const [bytes, ms] of observations) {
          rates.observed('peer', bytes, ms);
          rates.answered('peer', ms);
        }
        expect(rates.rateOf('peer')).toBeGreaterThan(0);
        expect(Number.isFinite(rates.rateOf('peer') + rates.latencyOf('peer'))).toBe(true);
      }),
    );
  });

  test('of a thousand sources at most is remembered: the least recently seen are forgotten', () => {
    const rates = new MeasuredSourceRates();
    for (let i = 0; i < 1_100; i += 1) rates.observed(`peer-${i}`, MIB, 1_000);
    expect(rates.records()).toHaveLength(1_000);
    expect(rates.records().some(([source]) => source === 'peer-0')).toBe(false);
  });
});

describe('what is kept over a restart', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mesh-rates-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('is what was measured', async () => {
    const first = SourceRatesFile.open(directory);
    for (let i = 0; i < 30; i += 1) first.rates.observed('peer', MIB, 100);
    await first.close();
    const second = SourceRatesFile.open(directory);
    expect(second.rates.rateOf('peer')).toBeCloseTo(first.rates.rateOf('peer'), 3);
    await second.close();
  });

  test.each([
    '',
    '{',
    '[]',
    '{"version":9,"sources":[]}',
    '{"version":1,"sources":[["a","b",1,1,1],[1],null]}',
  ])('is nothing where the file says %j: it is only a memory', async (content) => {
    await writeFile(join(directory, 'source-rates.json'), content);
    const kept = SourceRatesFile.open(directory);
    expect(kept.rates.records()).toEqual([]);
    kept.rates.observed('peer', MIB, 100);
    await kept.close();
    expect(JSON.parse(await readFile(join(directory, 'source-rates.json'), 'utf8'))).toMatchObject({
      version: 1,
    });
  });
});
