import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { emptyPieceMap, setPiece } from './piece-map.ts';
import { type AskedPiece, PiecePlan, type PlanEffect, type PlanEvent } from './piece-plan.ts';

const MIB = 1024 * 1024;
/** How often it is looked at who is slow. */
const TICK_MS = 250;
const NONE = new Uint8Array(0);

interface SimulatedSource {
  readonly name: string;
  /** Bytes a millisecond it really gives. */
  readonly rate: number;
  /** Dies after it sent so many bytes. */
  readonly diesAfter?: number;
}

/** Carries out a plan against sources of given rates, by simulated time: each sends what it is asked for in order. */
class Simulation {
  readonly plan: PiecePlan;
  readonly sources: readonly SimulatedSource[];
  readonly queues = new Map<string, { asked: AskedPiece; left: number }[]>();
  readonly sent = new Map<string, number>();
  readonly received: Uint8Array;
  nowMs = 0;
  consumed = 0;
  starved = false;
  /** Highest distance of an asked piece from the consumer. */
  farthest = 0;
  readonly #have = new Set<number>();

  constructor(narBytes: number, sources: readonly SimulatedSource[], windowBytes = 24 * MIB) {
    this.plan = new PiecePlan({ narBytes, windowBytes, random: () => 0.5 });
    this.sources = sources;
    this.received = new Uint8Array(Math.ceil(narBytes / MIB));
    for (const { name } of sources) {
      this.queues.set(name, []);
      this.sent.set(name, 0);
    }
    for (const { name } of sources) {
      this.step({ type: 'source', source: name, complete: true, pieces: NONE, bytesPerMs: 50_000 });
    }
  }

  step(event: PlanEvent): void {
    for (const effect of this.plan.step(event)) this.#carryOut(effect);
  }

  /** @returns milliseconds until everything was there */
  run(): number {
    for (let steps = 0; !this.plan.complete && !this.starved; steps += 1) {
      if (steps > 100_000) throw new Error('it does not end');
      this.#advance();
    }
    return this.nowMs;
  }

  #advance(): void {
    let next: { source: SimulatedSource; ms: number } | undefined;
    for (const source of this.sources) {
      const head = this.queues.get(source.name)?.[0];
      if (head === undefined) continue;
      const untilDeath = (source.diesAfter ?? Number.POSITIVE_INFINITY) - this.sent.get(source.name)!;
      const ms = Math.min(head.left, untilDeath) / source.rate;
      if (next === undefined || ms < next.ms) next = { source, ms };
    }
    if (next === undefined) throw new Error('nothing is under way, and something is missing');
    next.ms = Math.min(next.ms, TICK_MS);
    this.nowMs += next.ms;
    const finished: { source: SimulatedSource; asked: AskedPiece }[] = [];
    for (const source of this.sources) {
      const head = this.queues.get(source.name)?.[0];
      if (head === undefined) continue;
      const bytes = next.ms * source.rate;
      head.left -= bytes;
      this.sent.set(source.name, this.sent.get(source.name)! + bytes);
      if (head.left < 0.5) finished.push({ source, asked: head.asked });
    }
    const dead = this.sources.filter(
      ({ name, diesAfter }) => this.queues.has(name) && this.sent.get(name)! >= (diesAfter ?? Infinity) - 0.5,
    );
    for (const { source, asked } of finished) this.#finish(source, asked);
    for (const { name } of dead) this.#die(name);
    if (finished.length === 0 && dead.length === 0) {
      for (const { name, rate } of this.sources) {
        if ((this.queues.get(name)?.length ?? 0) > 0)
          this.step({ type: 'slow', source: name, bytesPerMs: rate });
      }
    }
  }

  #finish({ name, rate }: SimulatedSource, asked: AskedPiece): void {
    const queue = this.queues.get(name);
    if (queue?.[0]?.asked !== asked) return;
    queue.shift();
    this.#have.add(asked.piece);
    this.step({ type: 'done', id: asked.id, bytesPerMs: rate });
    while (this.#have.has(this.consumed)) this.consumed += 1;
    this.step({ type: 'consumed', pieces: this.consumed });
  }

  #die(name: string): void {
    const queue = this.queues.get(name)!;
    this.queues.delete(name);
    const reached = new Map(queue.map(({ asked, left }) => [asked.id, Math.round(asked.bytes - left)]));
    this.step({ type: 'gone', source: name, reached });
  }

  #carryOut(effect: PlanEffect): void {
    if (effect.type === 'starved') this.starved = true;
    else if (effect.type === 'ask') {
      const { asked } = effect;
      this.farthest = Math.max(this.farthest, asked.piece - this.consumed);
      this.queues.get(asked.source)!.push({ asked, left: asked.bytes });
    } else {
      for (const queue of this.queues.values()) {
        const place = queue.findIndex(({ asked }) => asked.id === effect.id);
        if (place !== -1) queue.splice(place, 1);
      }
    }
  }
}

const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
const sources = fc.array(fc.integer({ min: 1_000, max: 400_000 }), { minLength: 1, maxLength: 5 });
const narBytes = fc.integer({ min: 1, max: 300 * MIB });

describe('a NAR from those who have it', () => {
  test('comes whole, and next to nothing of it twice, whatever the sources are like', () => {
    fc.assert(
      fc.property(narBytes, sources, (bytes, rates) => {
        const simulation = new Simulation(
          bytes,
          rates.map((rate, index) => ({ name: `s${index}`, rate })),
        );
        simulation.run();
        const sent = sum(simulation.sent.values());
        expect(sent).toBeGreaterThan(bytes - rates.length);
        expect(sent).toBeLessThanOrEqual(Math.max(bytes * 1.05, bytes + MIB) + rates.length);
      }),
      { numRuns: 60 },
    );
  });

  test('from one source: everything is asked exactly once', () => {
    fc.assert(
      fc.property(narBytes, (bytes) => {
        const simulation = new Simulation(bytes, [{ name: 's', rate: 10_000 }]);
        simulation.run();
        expect(Math.round(simulation.sent.get('s')!)).toBe(bytes);
      }),
      { numRuns: 40 },
    );
  });

  test('is asked for within the window ahead of the consumer', () => {
    fc.assert(
      fc.property(narBytes, sources, fc.integer({ min: 1, max: 24 }), (bytes, rates, window) => {
        const named = rates.map((rate, index) => ({ name: `s${index}`, rate }));
        const simulation = new Simulation(bytes, named, window * MIB);
        simulation.run();
        expect(simulation.farthest).toBeLessThan(window);
      }),
      { numRuns: 40 },
    );
  });

  test('shares follow the rates, and the time is that of both together', () => {
    const simulation = new Simulation(256 * MIB, [
      { name: 'fast', rate: 90_000 },
      { name: 'slow', rate: 30_000 },
    ]);
    const ms = simulation.run();
    const share = simulation.sent.get('fast')! / (256 * MIB);
    expect(share).toBeGreaterThan(0.7);
    expect(share).toBeLessThan(0.8);
    expect(ms).toBeLessThan(((256 * MIB) / 120_000) * 1.1);
  });

  test('a source that crawls holds nothing up', () => {
    const simulation = new Simulation(128 * MIB, [
      { name: 'fast', rate: 100_000 },
      { name: 'crawling', rate: 10 },
    ]);
    expect(simulation.run()).toBeLessThan(((128 * MIB) / 100_000) * 1.05 + 2 * TICK_MS);
  });

  test('what a dead source was at goes on elsewhere from the byte reached', () => {
    fc.assert(
      fc.property(narBytes, fc.double({ min: 0, max: 1, noNaN: true }), (bytes, part) => {
        const simulation = new Simulation(bytes, [
          { name: 'dies', rate: 50_000, diesAfter: Math.max(1, bytes * part) },
          { name: 'lives', rate: 50_000 },
        ]);
        simulation.run();
        expect(simulation.plan.complete).toBe(true);
        expect(sum(simulation.sent.values())).toBeLessThanOrEqual(Math.max(bytes * 1.05, bytes + MIB) + 10);
      }),
      { numRuns: 60 },
    );
  });

  test('when the last source is gone, it says so', () => {
    const simulation = new Simulation(64 * MIB, [{ name: 'dies', rate: 50_000, diesAfter: 10 * MIB }]);
    simulation.run();
    expect(simulation.starved).toBe(true);
    expect(simulation.plan.complete).toBe(false);
  });

  test('nothing is asked for without room, and everything once there is', () => {
    const plan = new PiecePlan({ narBytes: 8 * MIB, windowBytes: 24 * MIB, random: () => 0 });
    const source: PlanEvent = {
      type: 'source',
      source: 's',
      complete: true,
      pieces: NONE,
      bytesPerMs: 100_000,
    };
    expect(plan.step(source, 0)).toEqual([]);
    const [first] = plan.step({ type: 'tick' }, 1);
    expect(plan.step({ type: 'tick' }, 100)).toHaveLength(1);
    if (first?.type !== 'ask') throw new Error('nothing was asked for');
    // A source that gives is asked for more ahead.
    expect(plan.step({ type: 'done', id: first.asked.id, bytesPerMs: 100_000 }, 100)).toHaveLength(2);
  });
});

describe('among others that fetch the same', () => {
  const count = 64;
  const swarm = (random: () => number = Math.random) => {
    const plan = new PiecePlan({ narBytes: count * MIB, windowBytes: 8 * MIB, random });
    const asked: AskedPiece[] = [];
    const step = (event: PlanEvent) => {
      for (const effect of plan.step(event)) if (effect.type === 'ask') asked.push(effect.asked);
    };
    const has = (source: string, pieces: readonly number[]) => {
      const map = emptyPieceMap(count);
      for (const piece of pieces) setPiece(map, piece);
      step({ type: 'source', source, complete: false, pieces: map, bytesPerMs: 20_000 });
    };
    const full = () =>
      step({ type: 'source', source: 'full', complete: true, pieces: NONE, bytesPerMs: 20_000 });
    return { plan, asked, step, has, full };
  };

  test('what others have comes from them, what nobody has from who has everything', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: count - 1 })), (held) => {
        const { plan, asked, step, has, full } = swarm();
        step({ type: 'spool', on: true });
        has('other', held);
        full();
        for (let next = 0; next < asked.length; next += 1) {
          step({ type: 'done', id: asked[next]!.id, bytesPerMs: 20_000 });
        }
        expect(plan.complete).toBe(true);
        const fromOther = asked.filter(({ source }) => source === 'other').map(({ piece }) => piece);
        expect(fromOther.toSorted((a, b) => a - b)).toEqual(held.toSorted((a, b) => a - b));
        expect(asked).toHaveLength(count);
      }),
      { numRuns: 30 },
    );
  });

  test('two fetchers with different luck ask for different pieces', () => {
    const first = (seed: number) => {
      let state = seed;
      const { asked, step, has, full } = swarm(() => {
        state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
        return state / 2 ** 31;
      });
      step({ type: 'spool', on: true });
      has('other', []);
      full();
      return asked.map(({ piece }) => piece);
    };
    expect(first(1)).not.toEqual(first(99));
  });

  test('the least loaded of those who have a piece is asked', () => {
    const { asked, step, has } = swarm();
    step({ type: 'spool', on: true });
    const every = Array.from({ length: count }, (_, piece) => piece);
    has('a', every);
    has('b', every);
    const from = (source: string) => asked.filter((one) => one.source === source).length;
    expect(Math.abs(from('a') - from('b'))).toBeLessThanOrEqual(1);
  });

  test('once there is no spool any more, pieces come in order and within the window again', () => {
    const { asked, step, full } = swarm();
    step({ type: 'spool', on: true });
    step({ type: 'spool', on: false });
    full();
    expect(asked.map(({ piece }) => piece)).toEqual(asked.map((_, index) => index));
    expect(asked.length).toBeLessThanOrEqual(8);
  });
});
