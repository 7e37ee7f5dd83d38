import { describe, expect, it } from 'vitest';
import { pauseRequest } from './pause.ts';

describe('mesh pause', () => {
  it('is for good, or for as long as it says, with what others are told', () => {
    expect(pauseRequest({})).toEqual({});
    expect(pauseRequest({ for: '8h', reason: 'video call' })).toEqual({
      forMs: 8 * 3_600_000,
      reason: 'video call',
    });
  });

  it.each(['soon', '0s', '-5m', '400d'])('refuses the time %s', (time) => {
    expect(() => pauseRequest({ for: time })).toThrow('give a time of at most a year');
  });

  it('refuses a reason that would not fit into a listing', () => {
    expect(() => pauseRequest({ reason: 'x'.repeat(101) })).toThrow('at most 100 characters');
  });
});
