import { describe, expect, it } from 'vitest';
import { admission, initialAdmission, type LoadFacts, memoryShortBelow } from './load-admission.ts';

const GIB = 2 ** 30;
const limits = { cpuPressure: 20, memoryPressure: 20 };
const calm: LoadFacts = {
  nowMs: 0,
  cores: 4,
  running: 0,
  cpuPressure: 1,
  memoryPressure: 0,
  memoryAvailableBytes: 8 * GIB,
  memoryBytes: 16 * GIB,
};

/** Looks every two seconds: what holds at the end of each stretch of seconds. */
function watched(...stretches: [seconds: number, facts: Partial<LoadFacts>][]): ('user' | 'memory')[][] {
  let state = initialAdmission();
  let nowMs = 0;
  return stretches.map(([seconds, facts]) => {
    for (const endMs = nowMs + seconds * 1_000; nowMs < endMs; nowMs += 2_000)
      state = admission(state, { ...calm, ...facts, nowMs }, limits);
    return (['user', 'memory'] as const).filter((what) => state[what].on);
  });
}

describe('a user who comes back to the machine', () => {
  it('has it within seconds, and for some seconds of calm', () => {
    expect(watched([60, {}], [4, { cpuPressure: 50 }], [4, { cpuPressure: 50 }])).toEqual([[], [], ['user']]);
    expect(watched([60, {}], [10, { cpuPressure: 50 }], [8, {}], [6, {}])).toEqual([
      [],
      ['user'],
      ['user'],
      [],
    ]);
  });

  it('is not seen in one short burst, nor gone at one pause', () => {
    expect(
      watched([60, {}], [2, { cpuPressure: 90 }], [2, {}], [2, { cpuPressure: 90 }], [2, {}]).at(-1),
    ).toEqual([]);
    const back: [number, Partial<LoadFacts>][] = [
      [60, {}],
      [10, { cpuPressure: 50 }],
    ];
    expect(watched(...back, [8, {}], [2, { cpuPressure: 15 }], [8, {}]).at(-1)).toEqual(['user']);
  });

  it('is not the mesh itself, neither while it builds nor while that fades', () => {
    expect(
      watched([60, {}], [300, { running: 4, cpuPressure: 80 }], [18, { cpuPressure: 40 }]).at(-1),
    ).toEqual([]);
  });

  it('is seen beside a few builds too', () => {
    expect(watched([60, { running: 1 }], [10, { running: 1, cpuPressure: 50 }]).at(-1)).toEqual(['user']);
  });

  it('is not looked for where the kernel does not say', () => {
    expect(watched([60, { cpuPressure: undefined, memoryPressure: undefined }])).toEqual([[]]);
  });
});

describe('memory', () => {
  it('is short at once, and there again after some seconds with room to spare', () => {
    const short = { memoryAvailableBytes: GIB / 2 };
    expect(watched([2, short], [4, {}], [4, {}])).toEqual([['memory'], ['memory'], []]);
    expect(watched([2, short], [60, { memoryAvailableBytes: 0.85 * GIB }])).toEqual([['memory'], ['memory']]);
  });

  it('is short by pressure alone', () => {
    expect(watched([2, { memoryPressure: 25 }], [20, { memoryPressure: 15 }], [8, {}])).toEqual([
      ['memory'],
      ['memory'],
      [],
    ]);
  });

  it('is reckoned by the size of the machine', () => {
    expect([0.5, 4, 16, 256].map((gib) => memoryShortBelow(gib * GIB) / GIB)).toEqual([0.125, 0.5, 0.8, 2]);
  });
});
