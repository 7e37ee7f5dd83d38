import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stepWorker } from './worker.ts';
import type { WorkerMachineEvent } from './worker-protocol.ts';
import { coresGiven, WorkerScenario } from './worker-scenario.ts';
import { initialWorker, type WorkerState } from './worker-state.ts';

describe('free slots', () => {
  it('are offered to hungry homes by their weights, and to nobody else while there are any', () => {
    const worker = new WorkerScenario({ slots: 4, aheadSlots: 0 });
    worker.after({ type: 'home-advertised', home: 'full', hungry: false });
    expect(worker.parkedAt('full')).toBe(4);
    worker.after({ type: 'home-advertised', home: 'light', weight: 1 });
    expect([worker.parkedAt('full'), worker.parkedAt('light')]).toEqual([0, 4]);
    worker.after({ type: 'home-advertised', home: 'heavy', weight: 3 });
    expect([worker.parkedAt('light'), worker.parkedAt('heavy')]).toEqual([1, 3]);
    worker.after({ type: 'home-advertised', home: 'heavy', hungry: false });
    expect([worker.parkedAt('light'), worker.parkedAt('heavy')]).toEqual([4, 0]);
  });

  it('that a hungry home leaves unanswered are offered to the others too', () => {
    const worker = new WorkerScenario({ slots: 2, aheadSlots: 0 });
    worker.after({ type: 'home-advertised', home: 'dreamer' });
    worker.after({ type: 'home-advertised', home: 'h' });
    worker.leased('l1');
    worker.now = 250;
    worker.after({ type: 'tick' });
    expect([worker.parkedAt('dreamer'), worker.parkedAt('h')]).toEqual([1, 1]);
    worker.leased('l2', { home: 'dreamer' });
    expect([worker.parkedAt('dreamer'), worker.parkedAt('h')]).toEqual([0, 0]);
  });

  it('wake the worker when patience with a home is at an end, if another home waits', () => {
    const worker = new WorkerScenario({ slots: 1, aheadSlots: 0 });
    worker.now = 1_000;
    stepWorker(worker.state, { type: 'home-advertised', home: 'dreamer', now: 1_000 });
    const { effects } = stepWorker(worker.state, { type: 'home-advertised', home: 'h', now: 1_100 });
    expect(effects).toContainEqual({ type: 'wake-at', at: 1_250 });
  });

  it('are offered to the own home up to its reserve before anybody', () => {
    const capacity = { slots: 4, slotsForOthers: 4, cores: 4, reservedSlots: 2 };
    const worker = new WorkerScenario({ capacity, aheadSlots: 0 });
    worker.after({ type: 'home-advertised', home: 'heavy', weight: 100 });
    worker.after({ type: 'home-advertised', home: 'w' });
    expect([worker.parkedAt('w'), worker.parkedAt('heavy')]).toEqual([2, 2]);
  });

  it('ahead go to whom the next slot is due', () => {
    const worker = new WorkerScenario({ slots: 1, aheadSlots: 1 });
    worker.after({ type: 'home-advertised', home: 'h' });
    worker.building('l1');
    worker.after({ type: 'home-advertised', home: 'other' });
    expect(worker.state.homes.get('h')?.parkedAhead.size).toBe(0);
    expect(worker.state.homes.get('other')?.parkedAhead.size).toBe(1);
  });
});

/** Homes that always have something ready, builds of given lengths: what each home had after a while. */
class Contest {
  readonly state: WorkerState;
  readonly busyMs: number[];
  now = 0;
  readonly #ends = new Map<string, { at: number; home: number }>();
  readonly #lengthsMs: readonly (readonly number[])[];
  #next = 0;

  constructor(
    slots: number,
    aheadSlots: number,
    weights: readonly number[],
    lengthsMs: readonly (readonly number[])[],
  ) {
    this.state = initialWorker({ self: 'w', incarnation: 'w', slots, aheadSlots });
    this.busyMs = weights.map(() => 0);
    this.#lengthsMs = lengthsMs;
    // All of them are there before the first request is answered.
    const late = weights.flatMap((weight, i) =>
      this.#step({ type: 'home-advertised', home: `h${i}`, weight }),
    );
    for (const answer of late) answer();
  }

  /** Slots that each home has. */
  get running(): number[] {
    return this.busyMs.map((_, i) => [...this.#ends.values()].filter(({ home }) => home === i).length);
  }

  /** Lets the next build end. */
  advance(): void {
    const [lease, end] = [...this.#ends].reduce((a, b) => (b[1].at < a[1].at ? b : a));
    for (const other of this.#ends.values()) this.busyMs[other.home]! += end.at - this.now;
    this.now = end.at;
    this.#ends.delete(lease);
    this.#do({ type: 'build-finished', lease, outcome: { type: 'built', outputs: [] } });
  }

  #do(event: Record<string, unknown>): void {
    for (const answer of this.#step(event)) answer();
  }

  #step(event: Record<string, unknown>): (() => void)[] {
    const { effects } = stepWorker(this.state, { now: this.now, ...event } as WorkerMachineEvent);
    return effects.flatMap((effect) => {
      if (effect.type === 'fetch') return [() => this.#do({ type: 'inputs-ready', lease: effect.lease })];
      if (effect.type === 'build') {
        const home = Number(effect.home.slice(1));
        const lengths = this.#lengthsMs[home]!;
        this.#ends.set(effect.lease, { at: this.now + lengths[this.#next % lengths.length]!, home });
      }
      if (effect.type !== 'steal') return [];
      const { home, request, ahead } = effect;
      const parked = (): boolean => {
        const known = this.state.homes.get(home)!;
        return known.parked.has(request) || known.parkedAhead.has(request);
      };
      const lease = { lease: `l${this.#next++}`, attempt: 1, drvPath: '/d.drv' };
      return [() => void (parked() && this.#do({ type: 'leased', home, request, ahead, ...lease }))];
    });
  }
}

const lengths = fc.array(fc.integer({ min: 100, max: 5_000 }), { minLength: 1, maxLength: 5 });
const homes = fc.array(fc.record({ weight: fc.constantFrom(0.25, 1, 2, 4), lengths }), {
  minLength: 2,
  maxLength: 5,
});

describe('homes that are always hungry', () => {
  it('have their share of the slots at any time, to within one slot', () => {
    fc.assert(
      fc.property(homes, fc.integer({ min: 1, max: 12 }), (rivals, slots) => {
        const contest = new Contest(
          slots,
          0,
          rivals.map(({ weight }) => weight),
          rivals.map((rival) => rival.lengths),
        );
        const total = rivals.reduce((sum, { weight }) => sum + weight, 0);
        for (let i = 0; i < 60; i++) {
          for (const [home, running] of contest.running.entries()) {
            const quota = (slots * rivals[home]!.weight) / total;
            expect(Math.abs(running - quota), `slots of h${home}`).toBeLessThan(1);
          }
          contest.advance();
        }
      }),
      { numRuns: 200 },
    );
  });

  it('have it over time too, whatever they have ahead: nobody starves', () => {
    fc.assert(
      fc.property(
        homes,
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 0, max: 2 }),
        (rivals, slots, ahead) => {
          const contest = new Contest(
            slots,
            ahead,
            rivals.map(({ weight }) => weight),
            rivals.map((rival) => rival.lengths),
          );
          const total = rivals.reduce((sum, { weight }) => sum + weight, 0);
          while (contest.now < 200_000) contest.advance();
          for (const [home, busyMs] of contest.busyMs.entries()) {
            const share = (slots * contest.now * rivals[home]!.weight) / total;
            // What is held ahead goes into the next free slot whosever it was: short builds among long ones lose by that.
            const tolerated = ahead === 0 ? 0.12 * share + 25_000 : contest.now;
            expect(Math.abs(busyMs - share), `slot time of h${home}`).toBeLessThan(tolerated);
            // At the worst, builds of 0.1 s among such of 5 s, it was 0.3 of the share in 4,000 cases.
            expect(busyMs, `slot time of h${home}`).toBeGreaterThan(0.2 * share - 10_000);
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

const action = fc.record({
  kind: fc.constantFrom('lease', 'lease', 'lease', 'ready', 'ready', 'built', 'cancel', 'offer', 'down'),
  home: fc.constantFrom('w', 'h', 'other'),
  index: fc.nat(20),
  cores: fc.integer({ min: 0, max: 6 }),
  ahead: fc.boolean(),
  chain: fc.boolean(),
  slots: fc.integer({ min: 0, max: 4 }),
  forOthers: fc.integer({ min: 0, max: 4 }),
});

describe('whatever homes send, in whatever order', () => {
  it('no more is started than slots, cores, others’ slots and the own reserve allow', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), fc.nat(2), (actions, reservedSlots) => {
        const worker = new WorkerScenario({
          capacity: { slots: 3, slotsForOthers: 2, cores: 4, reservedSlots },
          aheadSlots: 1,
        });
        const { state } = worker;
        for (const [i, a] of actions.entries()) {
          worker.now += 50;
          const held = [...state.leases.keys()];
          const lease = held[a.index % Math.max(1, held.length)] ?? 'none';
          const effects = (() => {
            switch (a.kind) {
              case 'lease': {
                const follows = a.chain && held.length > 0 ? { follows: lease } : {};
                const { home, cores, ahead } = a;
                return worker.leased(`l${i}`, { home, cores, ahead, ...follows });
              }
              case 'ready':
                return worker.ready(lease);
              case 'built':
                return worker.built(lease);
              case 'cancel':
                return worker.after({ type: 'cancelled', home: a.home, lease });
              case 'offer':
                return worker.offer({ slots: a.slots, slotsForOthers: a.forOthers });
              case 'down':
                return worker.after({ type: 'home-down', home: a.home });
            }
          })();
          for (const started of Object.keys(coresGiven(effects))) {
            const { slots, slotsForOthers, cores } = state.capacity;
            const inSlot = [...state.leases.values()].filter((l) => l.inSlot);
            const own = inSlot.filter((l) => l.home === 'w').length;
            const others = inSlot.length - own;
            const reserve = Math.min(own, reservedSlots);
            if (state.leases.get(started)?.home === 'w') {
              expect(own <= reservedSlots || inSlot.length <= slots, 'own builds').toBe(true);
            } else {
              expect(others, 'builds of others').toBeLessThanOrEqual(slotsForOthers);
              expect(others, 'builds in all').toBeLessThanOrEqual(slots - Math.max(0, own - reserve));
            }
            const coresTaken = inSlot.reduce((sum, l) => sum + Math.max(1, l.cores), 0);
            expect(coresTaken, 'cores').toBeLessThanOrEqual(Math.max(cores, slots) + reserve);
          }
          for (const l of state.leases.values())
            if (l.phase === 'following') expect(state.leases.has(l.follows!), 'a leader').toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
