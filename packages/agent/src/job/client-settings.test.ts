import { availableParallelism } from 'node:os';
import type { ClientSettings } from '@mesh/nix';
import { describe, expect, test } from 'vitest';
import { limitsOf, loosest, tightest } from './client-settings.ts';

const UNSAID: ClientSettings = {
  ...{ keepFailed: false, keepGoing: false, tryFallback: false, verbosity: 3, maxBuildJobs: 1 },
  ...{ maxSilentTimeSeconds: 0, buildCores: 0, useSubstitutes: true, overrides: new Map() },
};

describe('what a client of Nix allows its builds', () => {
  test('is unlimited where it says its defaults, whatever its version says for them', () => {
    expect(limitsOf(UNSAID, 0)).toBeUndefined();
    expect(limitsOf({ ...UNSAID, buildCores: availableParallelism() }, 0)).toBeUndefined();
    expect(limitsOf({ ...UNSAID, buildCores: 1 }, 1)).toBeUndefined();
  });

  test('is what it says', () => {
    const overrides = new Map([['timeout', '30']]);
    const buildCores = availableParallelism() > 1 ? 1 : 0;
    expect(limitsOf({ ...UNSAID, buildCores, maxSilentTimeSeconds: 5, overrides }, 0)).toEqual({
      ...(buildCores > 0 ? { cores: 1 } : {}),
      timeoutS: 30,
      maxSilentS: 5,
    });
  });

  test.each(['', 'soon', '-1', '1.5', '99999999999'])('is unlimited where its timeout is "%s"', (timeout) => {
    expect(limitsOf({ ...UNSAID, overrides: new Map([['timeout', timeout]]) }, 0)).toBeUndefined();
  });

  test('is the loosest of what several allow the same build', () => {
    const tight = { cores: 1, timeoutS: 10, maxSilentS: 5 };
    expect(loosest([])).toBeUndefined();
    expect(loosest([tight, undefined])).toBeUndefined();
    expect(loosest([tight, { cores: 2, timeoutS: 7 }])).toEqual({ cores: 2, timeoutS: 10 });
  });

  test('is never more than the machine allows that builds', () => {
    expect([tightest(0, undefined), tightest(0, 3), tightest(2, 3), tightest(2, 0)]).toEqual([0, 3, 2, 2]);
  });
});
