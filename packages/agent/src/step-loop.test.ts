import type { Clock } from '@mesh/net';
import { describe, expect, test } from 'vitest';
import { StepLoop } from './step-loop.ts';

type Event = { now: number } & ({ type: 'tick' } | { type: 'say'; text: string });
type Effect = { type: 'wake-at'; at: number } | { type: 'said'; text: string };

/** Time that tests move; timers go off `earlyMs` before they should, as those of operating systems may. */
class HandClock implements Clock {
  time = 0;
  readonly #earlyMs: number;
  #timers: { at: number; callback: () => void }[] = [];

  constructor(earlyMs = 0) {
    this.#earlyMs = earlyMs;
  }

  now = (): number => this.time;
  monotonic = (): number => this.time;
  after = (delayMs: number, callback: () => void): { cancel(): void } => {
    const timer = { at: this.time + Math.max(0, delayMs - this.#earlyMs), callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((each) => each !== timer);
      },
    };
  };

  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.time = Math.max(this.time + 0.01, due.at);
      this.#timers = this.#timers.filter((timer) => timer !== due);
      due.callback();
    }
    this.time = end;
  }
}

describe('a step loop', () => {
  test('wakes its machine at the time asked for, never before, even where timers go off early', () => {
    const clock = new HandClock(0.4);
    const ticks: number[] = [];
    const loop = new StepLoop<Event, Effect>({
      clock,
      step: (event) => {
        if (event.type === 'tick') ticks.push(event.now);
        return ticks.length < 3 ? [{ type: 'wake-at', at: (ticks.length + 1) * 3_000 }] : [];
      },
      perform: () => undefined,
      tick: { type: 'tick' },
    });
    loop.dispatch({ type: 'say', text: 'go' });
    clock.advance(20_000);
    expect(ticks).toHaveLength(3);
    for (const [n, tick] of ticks.entries()) expect(tick).toBeGreaterThanOrEqual((n + 1) * 3_000);
  });

  test('handles one event at a time, also those that come up while effects are carried out', () => {
    const order: string[] = [];
    const loop = new StepLoop<Event, Effect>({
      clock: new HandClock(),
      step: (event) => {
        if (event.type !== 'say') return [];
        order.push(`step ${event.text}`);
        return event.text === 'a'
          ? [
              { type: 'said', text: 'a1' },
              { type: 'said', text: 'a2' },
            ]
          : [];
      },
      perform: (effect) => {
        order.push(`perform ${effect.text}`);
        if (effect.text === 'a1') loop.dispatch({ type: 'say', text: 'b' });
      },
      tick: { type: 'tick' },
    });
    loop.dispatch({ type: 'say', text: 'a' });
    expect(order).toEqual(['step a', 'perform a1', 'perform a2', 'step b']);
  });

  test('takes nothing any more once stopped', () => {
    const seen: string[] = [];
    const loop = new StepLoop<Event, Effect>({
      clock: new HandClock(),
      step: (event) => {
        seen.push(event.type);
        return [];
      },
      perform: () => undefined,
      tick: { type: 'tick' },
    });
    loop.stop();
    loop.dispatch({ type: 'say', text: 'late' });
    expect(seen).toEqual([]);
  });
});
