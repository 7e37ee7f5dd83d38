import { describe, expect, it } from 'vitest';
import { answerDelay, pauseBeforeQuery } from './pacing.ts';

describe('queries', () => {
  it('come at 0, 1 and 3 seconds, then ever more rarely, down to one in two minutes', () => {
    const times: number[] = [];
    let at = 0;
    for (let sent = 0; sent < 12; sent++) {
      at += pauseBeforeQuery(sent);
      times.push(at / 1_000);
    }
    expect(times).toEqual([0, 1, 3, 7, 15, 31, 63, 127, 247, 367, 487, 607]);
  });
});

describe('answers', () => {
  it('wait 20 to 120 ms', () => {
    expect([answerDelay(1_000, 0), answerDelay(Number.POSITIVE_INFINITY, 1)]).toEqual([20, 120]);
  });

  it('are not given where the last one is less than a second old', () => {
    expect(answerDelay(999, 0.5)).toBeUndefined();
  });
});
