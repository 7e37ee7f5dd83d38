import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BuildRecord } from './prediction-record.ts';
import { MachineSpeeds } from './speeds.ts';

const NOW = 1_790_000_000_000;

/** Builds by turns: every name on every machine in some order, each taking what the machine's true speed makes of it. */
class World {
  readonly speeds = new MachineSpeeds();
  readonly #true: Record<string, number>;
  #n = 0;

  constructor(trueSpeeds: Record<string, number>, claims: Record<string, number> = {}) {
    this.#true = { ...trueSpeeds };
    for (const machine of Object.keys(trueSpeeds)) this.speeds.speedOf(machine, claims[machine] ?? 1);
  }

  becomes(machine: string, speed: number): void {
    this.#true[machine] = speed;
  }

  build(machine: string, name: string, workMs: number, more: Partial<BuildRecord> = {}): void {
    const wallMs = workMs / (this.#true[machine] as number);
    this.speeds.add(
      { name, system: 'x86_64-linux', machine, at: NOW, wallMs, outcome: 'built', ...more },
      NOW,
    );
  }

  /** Each machine builds each of so many names. */
  rounds(count: number): void {
    for (let round = 0; round < count; round++) {
      const package_ = this.#n++ % 7;
      for (const machine of Object.keys(this.#true))
        this.build(machine, `p${package_}`, 5_000 * (1 + package_));
    }
  }

  /** Learned speed of one machine beside another's. */
  ratio(one: string, other: string, claims: Record<string, number> = {}): number {
    return this.speeds.speedOf(one, claims[one] ?? 1) / this.speeds.speedOf(other, claims[other] ?? 1);
  }
}

describe('before any build', () => {
  test('a machine is as fast as its own measurement says', () => {
    expect(new MachineSpeeds().speedOf('a', 1.7)).toBeCloseTo(1.7, 9);
  });

  test('builds of a name on one machine alone say nothing', () => {
    const world = new World({ a: 2 });
    world.rounds(50);
    expect(world.speeds.speedOf('a', 1)).toBe(1);
  });
});

describe('learning', () => {
  test('machines that say nothing of themselves are told apart', () => {
    const world = new World({ a: 1, b: 2, c: 0.5 });
    world.rounds(35);
    expect(world.ratio('b', 'a')).toBeCloseTo(2, 0);
    expect(world.ratio('c', 'a')).toBeGreaterThan(0.4);
    expect(world.ratio('c', 'a')).toBeLessThan(0.6);
  });

  test('one build moves a speed by a fifth at most, or two with the others', () => {
    const world = new World({ a: 1, b: 1, c: 1 });
    world.rounds(10);
    const before = world.ratio('a', 'b');
    world.build('a', 'p1', 3_600_000);
    expect(Math.abs(Math.log(world.ratio('a', 'b') / before))).toBeLessThanOrEqual(2 * Math.log(1.2) + 1e-9);
  });

  test('a machine that became half as fast is known as such within 40 builds', () => {
    const world = new World({ a: 1, b: 1, c: 1 });
    world.rounds(30);
    world.becomes('a', 0.5);
    world.rounds(40);
    expect(world.ratio('a', 'b')).toBeGreaterThan(0.4);
    expect(world.ratio('a', 'b')).toBeLessThan(0.65);
  });

  test('an emulated system has a speed of its own', () => {
    const world = new World({ a: 1, b: 1 });
    const system = 'aarch64-linux';
    for (let i = 0; i < 25; i++) {
      world.build('b', `p${i % 4}`, 4_000, { system });
      world.build('a', `p${i % 4}`, 40_000, { system, emulated: true });
      world.build('a', `p${i % 4}`, 4_000);
      world.build('b', `p${i % 4}`, 4_000);
    }
    expect(world.ratio('a', 'b')).toBeCloseTo(1, 0);
    expect(world.speeds.speedOf('a', 0.5, system)).toBeLessThan(0.2);
  });

  test('crumbs and failures do not count', () => {
    const world = new World({ a: 1, b: 1 });
    for (let i = 0; i < 50; i++) {
      world.build('a', 'crumb', 10);
      world.build('b', 'crumb', 100);
      world.build('a', 'p', 5_000);
      world.build('b', 'p', 50, { outcome: 'failed' });
    }
    expect(world.ratio('a', 'b')).toBeCloseTo(1, 9);
  });
});

describe('a peer that lies about its speed', () => {
  test('is believed its builds in the end, whatever it keeps saying, and spoils nobody else', () => {
    fc.assert(
      fc.property(
        fc.double({ min: Math.log(0.05), max: Math.log(20), noNaN: true }).map(Math.exp),
        fc.double({ min: 0.5, max: 2, noNaN: true }),
        (lie, truth) => {
          const claims = { liar: lie };
          const world = new World({ a: 1, b: 1, c: 1, liar: truth }, claims);
          for (let i = 0; i < 60; i++) {
            world.rounds(1);
            world.ratio('liar', 'a', claims);
          }
          const off = world.ratio('liar', 'a', claims) / truth;
          expect(Math.max(off, 1 / off)).toBeLessThan(1.3);
          expect(Math.abs(Math.log(world.ratio('a', 'b')))).toBeLessThan(0.1);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('speeds stay finite and positive whatever is claimed or fed', () => {
    fc.assert(
      fc.property(
        fc.double(),
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.double(), fc.double()), { maxLength: 60 }),
        (claim, rows) => {
          const speeds = new MachineSpeeds();
          speeds.speedOf('a', claim);
          for (const [machine, wallMs, speed] of rows)
            speeds.add({ name: 'p', system: 's', machine, at: NOW, wallMs, outcome: 'built', speed }, NOW);
          for (const machine of ['a', 'b', 'c']) {
            const speed = speeds.speedOf(machine, claim);
            expect(speed).toBeGreaterThan(0);
            expect(Number.isFinite(speed)).toBe(true);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
