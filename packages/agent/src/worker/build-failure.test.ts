import { describe, expect, it } from 'vitest';
import { failureOutcome } from './build-failure.ts';

const enough = { killed: false, short: false };
const failed = (errorMsg: string) => ({ status: 'permanent-failure' as const, errorMsg });

describe('a build that did not succeed', () => {
  it('with an exit code of its own has given its answer', () => {
    const outcome = failureOutcome(
      failed('builder failed with exit code 2;\nlast 1 log lines:\n> error: no'),
      enough,
    );
    expect(outcome).toMatchObject({ type: 'failed' });
  });

  it('for want of memory is the machine’s failure, and says so', () => {
    expect(
      failureOutcome(failed('> virtual memory exhausted: Cannot allocate memory'), enough),
    ).toMatchObject({
      type: 'machine-failure',
      outOfMemory: true,
    });
  });

  it.each([
    "builder for '/nix/store/x.drv' failed due to signal 9 (Killed)",
    '> g++: fatal error: Killed signal terminated program cc1plus',
    "> terminate called after throwing an instance of 'std::bad_alloc'",
    '> LLVM ERROR: out of memory',
  ])('is out of memory only where the machine was short of it: %s', (message) => {
    for (const memory of [
      { killed: true, short: false },
      { killed: false, short: true },
    ])
      expect(failureOutcome(failed(message), memory)).toMatchObject({
        type: 'machine-failure',
        message: expect.stringMatching(/^out of memory: /),
        outOfMemory: true,
      });
    expect(failureOutcome(failed(message), enough)).not.toHaveProperty('outOfMemory');
  });

  it('killed by somebody, or with no disk left, goes elsewhere', () => {
    for (const message of ['failed due to signal 9 (Killed)', '> cp: No space left on device'])
      expect(failureOutcome(failed(message), enough)).toMatchObject({ type: 'machine-failure' });
  });
});
