import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '@mesh/net';
import { ManualClock } from '@mesh/net/testing';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MAX_SPEED, MIN_SPEED, SPEED_DELAY_MS, SPEED_LIFETIME_MS, SPEED_RETRY_MS } from './constants.ts';
import { MachineSpeed, sampleInProcess, speedOf } from './speed.ts';
import type { SpeedSample } from './speed-sample.ts';

const WHOLE: SpeedSample = { roundMs: 2, share: 1 };
const ORDINARY = 4;

describe('the speed of a machine', () => {
  let stateDir: string;
  let clock: ManualClock;
  let samples: SpeedSample[];
  let taken: number;
  let idle: boolean;
  let changes: number;

  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'mesh-speed-'));
    clock = new ManualClock();
    samples = [];
    taken = 0;
    idle = true;
    changes = 0;
  });
  afterEach(() => rm(stateDir, { recursive: true }));

  async function agentStarts(cpuModel = 'A'): Promise<MachineSpeed> {
    const speed = await MachineSpeed.load(
      { stateDir, cpuModel, nodeVersion: 'v24.0.0' },
      {
        clock,
        logger: silentLogger,
        random: () => 0.5,
        sample: async () => samples[taken++] ?? WHOLE,
      },
    );
    speed.start({
      isIdle: async () => idle,
      changed: () => {
        changes += 1;
      },
    });
    return speed;
  }

  /** Lets time go on until `condition` holds. */
  async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < 500 && !(await condition()); tries += 1) {
      clock.pass(500);
      await sleep(1);
    }
    expect(await condition()).toBe(true);
  }

  const stored = () => readFile(join(stateDir, 'speed.json'), 'utf8').catch(() => '');
  const measuredAndKept = () => eventually(async () => changes > 0 && (await stored()) !== '');

  test('is 1 until it was measured, a while after the start', async () => {
    const speed = await agentStarts();
    clock.pass(SPEED_DELAY_MS - 1);
    await sleep(5);
    expect([speed.current, taken]).toEqual([1, 0]);
    await measuredAndKept();
    expect(speed.current).toBe(ORDINARY / WHOLE.roundMs);
  });

  test('is remembered', async () => {
    await agentStarts();
    await measuredAndKept();
    const again = await agentStarts();
    expect(again.current).toBe(2);
    clock.pass(SPEED_DELAY_MS * 2);
    await sleep(5);
    expect(taken).toBe(1);
  });

  test('is measured again on another processor and after a month, the old one holding meanwhile', async () => {
    await agentStarts();
    await measuredAndKept();
    samples = [WHOLE, { roundMs: 1, share: 1 }, { roundMs: 8, share: 1 }];
    const moved = await agentStarts('B');
    expect(moved.current).toBe(2);
    await eventually(() => changes === 2);
    expect(moved.current).toBe(4);
    await eventually(async () => (await stored()).includes('"B"'));
    clock.pass(SPEED_LIFETIME_MS + 1);
    const later = await agentStarts('B');
    await eventually(() => changes === 3);
    expect(later.current).toBe(0.5);
  });

  test('is not measured while the machine has work', async () => {
    idle = false;
    await agentStarts();
    for (let tries = 0; tries < 5; tries += 1) {
      clock.pass(SPEED_RETRY_MS);
      await sleep(2);
    }
    expect(taken).toBe(0);
    idle = true;
    await measuredAndKept();
  });

  test('does not suffer from a neighbour at work for a moment', async () => {
    samples = [
      { roundMs: 3, share: 0.5 },
      { roundMs: 4, share: 0.6 },
      { roundMs: 2, share: 0.98 },
    ];
    const speed = await agentStarts();
    await measuredAndKept();
    expect([speed.current, taken]).toEqual([2, 3]);
  });

  test('is halved by a quota of half a processor, which shows every time', async () => {
    samples = Array.from({ length: 10 }, () => ({ roundMs: 4, share: 0.5 }));
    const speed = await agentStarts();
    await measuredAndKept();
    expect(speed.current).toBe(0.5);
    expect(taken).toBeLessThan(6);
  });

  test.each([
    '',
    'nonsense',
    '{"version":2,"speed":3}',
    '{"version":1,"speed":1e9,"measuredMs":0,"cpuModel":"A","nodeVersion":"v"}',
  ])('is measured anew where the file says %s', async (content) => {
    await writeFile(join(stateDir, 'speed.json'), content);
    const speed = await agentStarts();
    expect(speed.current).toBe(1);
    await eventually(() => changes === 1);
    await eventually(async () => (await stored()).includes('"speed": 2'));
  });

  test('stays within bounds whatever was measured', () => {
    fc.assert(
      fc.property(fc.double(), fc.double({ min: 0, max: 1, noNaN: true }), (roundMs, share) => {
        const speed = speedOf({ roundMs, share });
        expect(speed).toBeGreaterThanOrEqual(MIN_SPEED);
        expect(speed).toBeLessThanOrEqual(MAX_SPEED);
      }),
    );
  });

  test('is measured by real work in a process', async () => {
    const { roundMs, share } = await sampleInProcess();
    expect(roundMs).toBeGreaterThan(0);
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThanOrEqual(1);
  });
});
