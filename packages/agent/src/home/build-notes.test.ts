import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@mesh/net';
import { ManualClock } from '@mesh/net/testing';
import type { WorkerInfo } from '@mesh/schedule';
import type { WorkerMessage } from '@mesh/wire';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { History } from '../history/history.ts';
import type { PlannedDerivation } from '../job/planner.ts';
import { BuildNotes } from './build-notes.ts';

type Result = Extract<WorkerMessage, { type: 'result' }>;

const SYSTEM = 'x86_64-linux';
const peer = (tag: string) => `12D3KooW${tag.padEnd(44, 'x')}`;
const HOME = peer('Home');
const ALICE = peer('Aice');
const BOB = peer('Bob');

let stateDir: string;
let clock: ManualClock;
let history: History;
let notes: BuildNotes;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'mesh-notes-'));
  clock = new ManualClock();
  history = new History({ stateDir, self: HOME }, { clock, logger: silentLogger, isMember: () => true });
  await history.open();
  notes = new BuildNotes(history, clock);
});
afterEach(async () => {
  await history.close();
  await rm(stateDir, { recursive: true, force: true });
});

function planned(name: string, more: Partial<PlannedDerivation> = {}): PlannedDerivation {
  const path = `/nix/store/00000000000000000000000000000000-${name}`;
  return {
    node: {
      drvPath: `${path}.drv`,
      name,
      system: SYSTEM,
      requiredFeatures: [],
      dependencies: [],
      place: 'anywhere',
      predictedMs: 1_000,
      outputs: [path],
    },
    derivation: {
      outputs: new Map([['out', { path, hashAlgo: '', hash: '' }]]),
      inputDrvs: new Map(),
      inputSrcs: [],
      system: SYSTEM,
      builder: '/bin/sh',
      args: [],
      env: new Map(),
    },
    bytes: new Uint8Array(),
    method: 'build',
    shape: { inputs: 0, local: false, download: false },
    inputs: [],
    upstream: new Set(),
    ...more,
  };
}

function result(buildMs: number, more: Partial<Result> = {}): Result {
  return {
    type: 'result',
    lease: 'l',
    attempt: 1,
    outcome: { type: 'built', outputs: [] },
    buildMs,
    fetched: [],
    ...more,
  };
}

function worker(peerId: string, more: Partial<WorkerInfo> = {}): WorkerInfo {
  return { peerId, name: peerId, isHome: false, systems: [SYSTEM], features: [], slots: 1, ...more };
}

const remembered = (name: string) => history.predict(name, SYSTEM).history;

describe('a build that ended', () => {
  it('is written down with what it used', () => {
    notes.judge(worker(ALICE, { speed: 2 }));
    const outputs = [
      { name: 'out', path: '/nix/store/00000000000000000000000000000000-zlib', narBytes: 700 },
    ];
    const message = result(10_000, {
      cpuMs: 9_000,
      memoryPeakBytes: 5e8,
      outcome: { type: 'built', outputs },
    });
    notes.result(planned('zlib-1.3'), ALICE, 1, message);
    expect(remembered('zlib-1.3')).toMatchObject({
      basis: 'name',
      samples: 1,
      memoryPeakBytes: 5e8,
      outputBytes: 700,
      busyCores: 0.9,
    });
    // Ten seconds at twice the ordinary speed are twenty.
    const { predictedMs } = history.predict('zlib-1.3', SYSTEM);
    expect(predictedMs).toBeGreaterThan(14_000);
    expect(predictedMs).toBeLessThan(28_000);
  });

  it('for want of memory is remembered as such', () => {
    const outcome = { type: 'machine-failure', message: 'killed', outOfMemory: true } as const;
    notes.result(planned('zlib-1.3'), ALICE, 1, result(3_000, { outcome, memoryPeakBytes: 8e9 }));
    expect(remembered('zlib-1.3')).toMatchObject({ ranOutOfMemory: true, memoryPeakBytes: 8e9 });
  });

  it('for want of memory that nobody measured needs at least what there was', () => {
    notes.judge(worker(ALICE, { freeMemoryBytes: 3e9 }));
    const outcome = { type: 'machine-failure', message: 'killed', outOfMemory: true } as const;
    notes.result(planned('zlib-1.3'), ALICE, 1, result(3_000, { outcome }));
    expect(remembered('zlib-1.3').memoryPeakBytes).toBe(3e9);
  });

  it('with its machine, or was none at all, says nothing', () => {
    const failure = { type: 'machine-failure', message: 'no disk' } as const;
    notes.result(planned('zlib-1.3'), ALICE, 1, result(3_000, { outcome: failure }));
    notes.result(planned('zlib-1.3', { method: 'realise' }), ALICE, 1, result(3_000));
    expect(remembered('zlib-1.3').basis).toBe('cold');
  });

  it('with other bytes than an earlier one is told, and not raced from then on', () => {
    const path = '/nix/store/00000000000000000000000000000000-zlib-1.3';
    const outcome = (narHash: string): Result['outcome'] => ({
      type: 'built',
      outputs: [{ name: 'out', path, narBytes: 1, narHash }],
    });
    expect(notes.result(planned('zlib-1.3'), ALICE, 1, result(10, { outcome: outcome('sha256:a') }))).toEqual(
      [],
    );
    expect(notes.result(planned('zlib-1.3'), BOB, 1, result(10, { outcome: outcome('sha256:b') }))).toEqual([
      {
        output: path,
        first: { peerId: ALICE, narHash: 'sha256:a' },
        second: { peerId: BOB, narHash: 'sha256:b' },
      },
    ]);
    expect(remembered('zlib-1.3').neverRace).toBe('non-deterministic');
  });
});

describe('a worker', () => {
  it('is as fast as it says until builds tell otherwise; then the home hears of it', () => {
    expect(notes.judge(worker(ALICE)).speed).toBeCloseTo(1, 9);
    expect(notes.judge(worker(BOB, { speed: 8 })).speed).toBeCloseTo(8, 9);
    const speeds = [8];
    for (let i = 0; i < 30; i++) {
      for (const who of [ALICE, BOB]) notes.result(planned(`p${i % 3}`), who, 1, result(5_000));
      clock.pass(1_000);
      const bob = notes.changed().find(({ peerId }) => peerId === BOB);
      if (bob?.speed !== undefined) speeds.push(bob.speed);
    }
    const alice = notes.judge(worker(ALICE)).speed ?? 0;
    expect((speeds.at(-1) ?? 0) / alice).toBeLessThan(1.3);
    expect((speeds.at(-1) ?? 0) / alice).toBeGreaterThan(0.7);
    // Nothing has happened since.
    clock.pass(1_000);
    expect(notes.changed()).toEqual([]);
  });

  it('has the link that its fetches came to; the home hears of it once that is another one', () => {
    const fetched = (mib: number, fetchMs: number) =>
      result(5_000, { fetchMs, fetched: [{ peer: BOB, bytes: mib * 2 ** 20 }] });
    expect(notes.judge(worker(ALICE)).linkBytesPerMs).toBeUndefined();
    notes.changed();
    for (let i = 0; i < 10; i++) notes.result(planned('zlib-1.3'), ALICE, 1, fetched(100, 10_000));
    clock.pass(1_000);
    const [alice] = notes.changed();
    expect(alice?.linkBytesPerMs).toBeGreaterThan(9_000);
    expect(alice?.linkBytesPerMs).toBeLessThan(12_000);
    notes.result(planned('zlib-1.3'), ALICE, 1, fetched(100, 10_500));
    clock.pass(1_000);
    expect(notes.changed(), 'about the same').toEqual([]);
    notes.forget(ALICE);
    expect(notes.judge(worker(ALICE)).linkBytesPerMs, 'back again').toBeGreaterThan(9_000);
  });

  it('that only emulates a system has a speed of its own for it', () => {
    const arm = 'aarch64-linux';
    const emulator = worker(ALICE, { systems: [SYSTEM, arm], emulated: { [arm]: 0.5 } });
    expect(notes.judge(emulator).emulated?.[arm]).toBeCloseTo(0.5, 9);
    const native = worker(BOB, { systems: [arm] });
    notes.judge(native);
    const build = planned('zlib-1.3');
    const forArm = { ...build, node: { ...build.node, system: arm } };
    for (let i = 0; i < 20; i++) {
      notes.result(forArm, BOB, 1, result(4_000));
      notes.result(forArm, ALICE, 1, result(40_000));
    }
    const judged = notes.judge(emulator);
    expect(judged.emulated?.[arm]).toBeLessThan(0.25);
    expect(judged.speed).toBeCloseTo(1, 9);
  });
});
