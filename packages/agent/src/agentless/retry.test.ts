import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FIRST_PAUSE_MS, LONGEST_PAUSE_MS, STABLE_MS } from './constants.ts';
import { initialRetry, type RetryEffect, type RetryEvent, type RetryState, stepRetry } from './retry.ts';

function run(...events: RetryEvent[]): { state: RetryState; effects: RetryEffect[] } {
  let state = initialRetry;
  const effects: RetryEffect[] = [];
  for (const event of events) {
    const next = stepRetry(state, event);
    state = next.state;
    effects.push(...next.effects);
  }
  return { state, effects };
}

const wanted = (nowMs = 0): RetryEvent => ({ type: 'wanted', nowMs });
const failed = (nowMs: number): RetryEvent => ({ type: 'failed', message: 'no route', random: 0.5, nowMs });

describe('a machine without an agent', () => {
  it('is called when there is work, once', () => {
    expect(run(wanted(), wanted()).effects).toEqual([{ type: 'connect' }]);
    expect(run({ type: 'tick', nowMs: 1 }).effects).toEqual([]);
  });

  it('is left alone after a failure, also where more work comes, and then tried again', () => {
    const { state, effects } = run(wanted(), failed(0), wanted(FIRST_PAUSE_MS - 1));
    expect(effects).toEqual([{ type: 'connect' }, { type: 'wake-at', atMs: FIRST_PAUSE_MS }]);
    expect(state).toMatchObject({ phase: 'resting', trouble: 'no route' });
    expect(stepRetry(state, { type: 'tick', nowMs: FIRST_PAUSE_MS }).effects).toEqual([{ type: 'connect' }]);
  });

  it('is not called again where there is no more work', () => {
    const { state } = run(wanted(), failed(0), { type: 'unwanted', nowMs: 1 });
    expect(stepRetry(state, { type: 'tick', nowMs: FIRST_PAUSE_MS })).toMatchObject({
      state: { phase: 'idle' },
      effects: [],
    });
  });

  it('rests twice as long each time, up to the longest pause', () => {
    let state = stepRetry(initialRetry, wanted()).state;
    const pauses: number[] = [];
    for (let now = 0; pauses.length < 12; now = state.retryAtMs) {
      state = stepRetry(state, failed(now)).state;
      pauses.push(state.retryAtMs - now);
      state = stepRetry(state, { type: 'tick', nowMs: state.retryAtMs }).state;
    }
    expect(pauses.slice(0, 4)).toEqual([1, 2, 4, 8].map((times) => times * FIRST_PAUSE_MS));
    expect(pauses.at(-1)).toBe(LONGEST_PAUSE_MS);
  });

  it('that was lost after a while is tried again soon; one that comes and goes is not', () => {
    const lost = (nowMs: number): RetryEvent => ({ type: 'lost', message: 'gone', random: 0.5, nowMs });
    const up: RetryEvent[] = [
      wanted(),
      failed(0),
      { type: 'tick', nowMs: 5_000 },
      { type: 'connected', nowMs: 6_000 },
    ];
    expect(run(...up, lost(6_000 + STABLE_MS)).state.failures).toBe(1);
    expect(run(...up, lost(6_001)).state.failures).toBe(2);
  });

  it('is let go where nobody needs it', () => {
    expect(run(wanted(), { type: 'connected', nowMs: 1 }, { type: 'unwanted', nowMs: 2 }).effects).toEqual([
      { type: 'connect' },
      { type: 'disconnect' },
    ]);
  });

  it('is never called twice at once, nor before its pause is over', () => {
    const anyEvent = fc.record({
      type: fc.constantFrom('wanted', 'unwanted', 'connected', 'tick', 'failed', 'lost'),
      waitMs: fc.nat(5_000),
      random: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
        let state = initialRetry;
        let nowMs = 0;
        for (const { type, waitMs, random } of events) {
          nowMs += waitMs;
          const next = stepRetry(state, { type, nowMs, message: 'x', random } as RetryEvent);
          const calls = next.effects.filter((effect) => effect.type === 'connect').length;
          expect(calls).toBeLessThanOrEqual(state.phase === 'idle' || state.phase === 'resting' ? 1 : 0);
          if (calls > 0 && state.phase === 'resting') expect(nowMs).toBeGreaterThanOrEqual(state.retryAtMs);
          state = next.state;
        }
      }),
    );
  });
});
