import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TokenBucket } from './token-bucket.ts';
import { UploadTurns } from './upload-turns.ts';

const never = new AbortController().signal;

/** A clock that goes when it is told to. */
class ManualClock {
  nowMs = 0;
  readonly #due: { atMs: number; run: () => void }[] = [];

  readonly now = (): number => this.nowMs;
  readonly after = (ms: number, run: () => void): (() => void) => {
    const entry = { atMs: this.nowMs + ms, run };
    this.#due.push(entry);
    return () => {
      const place = this.#due.indexOf(entry);
      if (place >= 0) this.#due.splice(place, 1);
    };
  };

  async pass(ms: number): Promise<void> {
    const end = this.nowMs + ms;
    for (;;) {
      // Whoever was let go asks for the next turn before time goes on.
      await turnOfTheLoop();
      const [next] = this.#due.filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#due.splice(this.#due.indexOf(next), 1);
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = end;
  }
}

/** Somebody who sends as fast as it is let. */
function sender(turns: UploadTurns, peerId: string, signal = never): { sent: number } {
  const state = { sent: 0 };
  const send = async () => {
    for (;;) {
      const bytes = turns.turnBytes;
      await turns.take(peerId, bytes, signal);
      state.sent += bytes;
    }
  };
  send().catch(() => undefined);
  return state;
}

describe('an upload limit', () => {
  test('holds over all peers and connections together', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 50_000, max: 50_000_000 }),
        fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 8 }),
        async (limit, peers) => {
          const clock = new ManualClock();
          const turns = new UploadTurns(clock);
          turns.setLimit(limit);
          const senders = peers.map((peer) => sender(turns, peer));
          await clock.pass(4_000);
          const sent = senders.reduce((sum, one) => sum + one.sent, 0);
          expect(sent).toBeGreaterThan(3.8 * limit);
          // What is let run up at the start, and the turn that is begun at the end.
          expect(sent).toBeLessThanOrEqual(4.125 * limit + turns.turnBytes + 1);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('is shared by peers alike, however many connections each has', async () => {
    const clock = new ManualClock();
    const turns = new UploadTurns(clock);
    turns.setLimit(1_000_000);
    const greedy = Array.from({ length: 20 }, () => sender(turns, 'greedy'));
    const modest = sender(turns, 'modest');
    await clock.pass(10_000);
    const taken = greedy.reduce((sum, one) => sum + one.sent, 0);
    expect(modest.sent / taken).toBeGreaterThan(0.9);
    expect(Math.min(...greedy.map(({ sent }) => sent))).toBeGreaterThan(0);
  });

  test('leaves all of it to the one who sends alone', async () => {
    const clock = new ManualClock();
    const turns = new UploadTurns(clock);
    turns.setLimit(1_000_000);
    const stop = new AbortController();
    const early = sender(turns, 'early', stop.signal);
    const late = sender(turns, 'late');
    await clock.pass(2_000);
    stop.abort(new Error('gone'));
    const [before, gone] = [late.sent, early.sent];
    await clock.pass(2_000);
    expect(late.sent - before).toBeGreaterThan(1_900_000);
    expect(early.sent).toBe(gone);
  });

  test('can be changed, and taken away, under way', async () => {
    const clock = new ManualClock();
    const turns = new UploadTurns(clock);
    turns.setLimit(10_000);
    const stop = new AbortController();
    const one = sender(turns, 'a', stop.signal);
    await clock.pass(1_000);
    expect(one.sent).toBeLessThan(20_000);
    turns.setLimit(1_000_000);
    const before = one.sent;
    await clock.pass(1_000);
    expect(one.sent - before).toBeGreaterThan(900_000);
    stop.abort(new Error('enough'));
    turns.setLimit(1);
    await turns.take('b', 100, never);
    const waiting = turns.take('b', 100, never);
    turns.setLimit(undefined);
    await waiting;
    await turns.take('b', 1e9, never);
  });

  test('does not hold whoever gave up', async () => {
    const clock = new ManualClock();
    const turns = new UploadTurns(clock);
    turns.setLimit(1_000);
    await turns.take('a', 100_000, never);
    const giveUp = new AbortController();
    const waiting = turns.take('b', 1, giveUp.signal);
    giveUp.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(turns.take('b', 1, giveUp.signal)).rejects.toThrow('enough');
  });
});

test('a bucket never gathers more than a short burst, and a debt is waited out', () => {
  const bucket = new TokenBucket(1_000, 0);
  bucket.take(125, 60_000);
  expect(bucket.waitMs(60_000)).toBeGreaterThan(0);
  bucket.take(1_000, 60_000);
  expect(bucket.waitMs(60_000)).toBe(1_001);
  expect(bucket.waitMs(61_001)).toBe(0);
});
