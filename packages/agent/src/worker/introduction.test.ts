import type { Clock, Timer } from '@mesh/net';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Introduction, Introductions } from './introduction.ts';

/** Time that passes only when told. */
class HandClock implements Clock {
  #now = 0;
  readonly #timers: { at: number; run: () => void; live: boolean }[] = [];

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): Timer {
    const timer = { at: this.#now + ms, run, live: true };
    this.#timers.push(timer);
    return {
      cancel: () => {
        timer.live = false;
      },
    };
  }

  pass(ms: number): void {
    this.#now += ms;
    for (const timer of this.#timers) {
      if (!timer.live || timer.at > this.#now) continue;
      timer.live = false;
      timer.run();
    }
  }
}

let clock: HandClock;
let told: Introduction[];
let now: Introduction;
let introductions: Introductions;

beforeEach(() => {
  clock = new HandClock();
  told = [];
  now = {
    type: 'worker',
    name: 'w',
    systems: ['x86_64-linux'],
    systemFeatures: [],
    slots: 2,
    freeMemoryBytes: 1_000,
  };
  introductions = new Introductions({
    clock,
    describe: () => structuredClone(now),
    send: (_home, message) => told.push(message),
  });
  introductions.greet('h');
});

describe('what homes are told of a worker', () => {
  it('is told again when it has changed, not more than every two seconds', () => {
    now.speed = 2;
    introductions.refresh();
    now.speed = 3;
    introductions.refresh();
    expect(told).toHaveLength(1);
    clock.pass(2_000);
    expect(told.map(({ speed }) => speed)).toEqual([undefined, 3]);
    introductions.refresh();
    clock.pass(10_000);
    expect(told).toHaveLength(2);
  });

  it('is not told again for a little memory', () => {
    clock.pass(5_000);
    now.freeMemoryBytes = 960;
    introductions.refresh();
    expect(told).toHaveLength(1);
    now.freeMemoryBytes = 900;
    introductions.refresh();
    expect(told).toHaveLength(2);
  });

  it('is told at once when there are other slots to have, or none', () => {
    now.slots = 0;
    now.closed = 'paused by its owner';
    introductions.refresh();
    expect(told.at(-1)).toMatchObject({ slots: 0, closed: 'paused by its owner' });
  });

  it('is told at once before a lease comes back for want of something', () => {
    now.freeMemoryBytes = 100;
    introductions.urgent('h');
    introductions.urgent('h');
    expect(told).toHaveLength(2);
  });

  it('is told to nobody who has left', () => {
    now.speed = 2;
    introductions.refresh();
    introductions.leave('h');
    clock.pass(10_000);
    introductions.refresh();
    expect(told).toHaveLength(1);
  });
});
