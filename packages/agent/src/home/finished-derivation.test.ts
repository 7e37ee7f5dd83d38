import type { DerivationOutcome } from '@mesh/schedule';
import { describe, expect, it } from 'vitest';
import { asJobsSeeIt } from './finished-derivation.ts';

const ended = (outcome: DerivationOutcome) =>
  asJobsSeeIt(
    { type: 'derivation-finished', drvPath: '/nix/store/a.drv', jobs: ['job-1'], outcome },
    undefined,
  );

describe('a failed derivation', () => {
  it('is a failed build only where a build gave that answer', () => {
    const kinds = ['build', 'machines', 'impossible', 'invalid'] as const;
    const noMachine = kinds.map(
      (kind) => ended({ type: 'failed', kind, message: 'it failed', peerId: 'h2' }).noMachine,
    );
    expect(noMachine).toEqual([false, true, true, true]);
  });

  it('was on a machine, or on none', () => {
    expect(ended({ type: 'failed', kind: 'build', message: 'no', peerId: 'h2' }).peerId).toBe('h2');
    expect(ended({ type: 'failed', kind: 'impossible', message: 'no' }).peerId).toBeNull();
  });
});

describe('a built derivation', () => {
  it('has its outputs by name, and what they take', () => {
    const outputs = [
      { name: 'out', path: '/nix/store/a', narBytes: 100 },
      { name: 'dev', path: '/nix/store/a-dev', narBytes: 20 },
    ];
    expect(ended({ type: 'built', peerId: 'h2', lease: 'l-1', attempt: 1, outputs })).toMatchObject({
      outcome: 'built',
      peerId: 'h2',
      lease: 'l-1',
      outputs: new Map([
        ['out', '/nix/store/a'],
        ['dev', '/nix/store/a-dev'],
      ]),
      outputBytes: 120,
    });
  });
});
