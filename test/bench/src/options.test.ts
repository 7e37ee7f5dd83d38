import { describe, expect, test } from 'vitest';
import { parseOptions } from './options.ts';

const SCENARIOS = ['wide', 'chain'];

describe('options of the benchmark', () => {
  test('without any everything runs three times', () => {
    expect(parseOptions([], SCENARIOS)).toEqual({ runs: 3, only: [], out: undefined, reports: undefined });
  });

  test('--only can be given several times', () => {
    const args = ['--only', 'chain', '--only', 'wide', '--runs', '1', '--out', '/tmp/x.json'];
    expect(parseOptions(args, SCENARIOS)).toMatchObject({
      runs: 1,
      only: ['chain', 'wide'],
      out: '/tmp/x.json',
    });
  });

  test.each([
    [['--only', 'tall'], /--only tall is unknown; there are wide, chain/],
    [['--runs', '0'], /number from 1 to 100, not 0/],
    [['--runs', 'many'], /number from 1 to 100, not many/],
    [['--fast'], /--fast.*Usage/],
    [['wide'], /wide.*Usage/],
  ])('%j is refused with a sentence', (args, message) => {
    expect(() => parseOptions(args, SCENARIOS)).toThrow(
      expect.objectContaining({ code: 'BENCH_USAGE', message: expect.stringMatching(message) }),
    );
  });
});
