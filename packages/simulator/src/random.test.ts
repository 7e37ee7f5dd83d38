import { describe, expect, test } from 'vitest';
import { Random } from './random.ts';

const draw = (random: Random, count = 5) => Array.from({ length: count }, () => random.uniform());

describe('a source of chance', () => {
  test('gives the same for the same seed, and something else for another', () => {
    expect(draw(new Random(7))).toEqual(draw(new Random(7)));
    expect(draw(new Random(7))).not.toEqual(draw(new Random(8)));
  });

  test('split by name gives the same whatever was drawn before', () => {
    const before = new Random(1).split('network');
    const root = new Random(1);
    draw(root, 100);
    draw(root.split('faults'), 3);
    expect(draw(root.split('network'))).toEqual(draw(before));
  });

  test('split by different names gives different numbers', () => {
    const root = new Random(1);
    expect(draw(root.split('a'))).not.toEqual(draw(root.split('b')));
  });

  test('has the mean and the deviation it should have', () => {
    const random = new Random('moments');
    const count = 20_000;
    const normal = Array.from({ length: count }, () => random.normal());
    const mean = normal.reduce((sum, x) => sum + x, 0) / count;
    const deviation = Math.sqrt(normal.reduce((sum, x) => sum + (x - mean) ** 2, 0) / count);
    expect(mean).toBeCloseTo(0, 1);
    expect(deviation).toBeCloseTo(1, 1);
    const uniform = draw(random, count);
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform)).toBeLessThan(1);
    expect(uniform.reduce((sum, x) => sum + x, 0) / count).toBeCloseTo(0.5, 1);
  });
});
