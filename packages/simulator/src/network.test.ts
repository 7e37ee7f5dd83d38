import { describe, expect, test } from 'vitest';
import { LAN_LATENCY_MS } from './constants.ts';
import { presetMesh } from './meshes.ts';
import { Network } from './network.ts';
import { VirtualClock } from './virtual-clock.ts';

const { machines } = presetMesh('equal4', []);
const GIGABIT = machines[0]!.upBytesPerMs;
const twoWays = 2 * LAN_LATENCY_MS;

function network() {
  const clock = new VirtualClock();
  return { clock, network: new Network(clock, machines) };
}

describe('the network', () => {
  test('delivers messages of one connection in order, after the latency', () => {
    const { clock, network: lan } = network();
    const heard: number[] = [];
    for (const n of [1, 2, 3]) lan.send(0, 1, () => heard.push(n));
    clock.step();
    expect(clock.now).toBe(LAN_LATENCY_MS);
    while (clock.step());
    expect(heard).toEqual([1, 2, 3]);
  });

  test('loses what is under way when either end dies, and what a former life sent', () => {
    const { clock, network: lan } = network();
    const heard: string[] = [];
    lan.send(0, 1, () => heard.push('to the dead'));
    lan.send(1, 0, () => heard.push('from the dead'));
    lan.send(0, 2, () => heard.push('to the living'));
    lan.die(1);
    lan.revive(1);
    lan.send(0, 1, () => heard.push('to the next life'));
    while (clock.step());
    expect(heard.sort()).toEqual(['to the living', 'to the next life']);
  });

  test('moves one transfer at the speed of the link', () => {
    expect(network().network.transfer(0, 1, GIGABIT * 50)).toBeCloseTo(50 + twoWays);
  });

  test('lets transfers that share a link share its time, and others not', () => {
    const { network: lan } = network();
    lan.transfer(0, 1, GIGABIT * 50);
    expect(lan.transfer(0, 2, GIGABIT * 50)).toBeCloseTo(100 + twoWays);
    expect(lan.transfer(3, 0, GIGABIT * 50)).toBeCloseTo(50 + twoWays);
  });

  test('is as slow as the slower end', () => {
    const clock = new VirtualClock();
    const slow = { ...machines[1]!, downBytesPerMs: GIGABIT / 10 };
    const lan = new Network(clock, [machines[0]!, slow]);
    expect(lan.transfer(0, 1, GIGABIT)).toBeCloseTo(10 + twoWays);
    expect(lan.transfer(1, 0, GIGABIT)).toBeCloseTo(1 + twoWays);
  });
});
