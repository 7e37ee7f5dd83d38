import { outputPlaceholder, parseDerivation } from '@mesh/nix';
import { describe, expect, it } from 'vitest';
import type { PlannedDerivation } from '../job/planner.ts';
import { Plans } from './plans.ts';

const planned = (drvPath: string, ...outputs: string[]) =>
  ({ node: { drvPath, outputs } }) as unknown as PlannedDerivation;

describe('the plans of a home', () => {
  it('tell what makes a path, until the last job that needs it is over', () => {
    const plans = new Plans();
    plans.add([planned('a.drv', 'a', 'a-dev'), planned('b.drv', 'b')]);
    expect(['a', 'a-dev', 'b', 'c'].map((path) => plans.producerOf(path))).toEqual([
      'a.drv',
      'a.drv',
      'b.drv',
      undefined,
    ]);
    plans.forget(['a.drv', 'b.drv'], (drvPath) => drvPath === 'b.drv');
    expect([plans.of('a.drv'), plans.producerOf('a-dev')]).toEqual([undefined, undefined]);
    expect(plans.of('b.drv')).toMatchObject({ node: { outputs: ['b'] } });
    plans.forget(['b.drv'], () => false);
    expect([plans.of('b.drv'), plans.producerOf('b')]).toEqual([undefined, undefined]);
  });

  it('give a derivation to build on what its inputs came to, and tell what made that', () => {
    const inputDrv = `/nix/store/${'a'.repeat(32)}-input.drv`;
    const drv = `/nix/store/${'b'.repeat(32)}-output.drv`;
    const [first, second] = ['c', 'd'].map((digit) => `/nix/store/${digit.repeat(32)}-input`) as [
      string,
      string,
    ];
    const derivation = {
      ...{
        inputDrvs: new Map([[inputDrv, ['out']]]),
        inputSrcs: [],
        system: 'x86_64-linux',
        builder: '/bin/sh',
      },
      outputs: new Map([['out', { path: '', hashAlgo: 'r:sha256', hash: '' }]]),
      args: [],
      env: new Map([['input', outputPlaceholder(inputDrv, 'out')]]),
    };
    const plans = new Plans();
    plans.add([{ ...planned(drv), derivation, inputs: [], floating: new Map() }, planned(inputDrv)]);
    expect(() => plans.toBuild(drv)).toThrow();
    for (const path of [first, second]) {
      plans.made(inputDrv, new Map([['out', path]]));
      const toBuild = plans.toBuild(drv)!;
      expect(toBuild.inputs).toEqual([path]);
      expect(parseDerivation(toBuild.bytes).env.get('input')).toBe(path);
      expect(plans.producerOf(path)).toBe(inputDrv);
    }
    plans.forget([inputDrv], () => false);
    expect(plans.producerOf(second)).toBeUndefined();
  });

  it('tell what is left to substituters, until it is to be got here', () => {
    const plans = new Plans();
    const { node } = planned('a.drv', 'a');
    plans.add([{ ...planned('a.drv', 'a'), node: { ...node, heldBy: ['upstream'] } }, planned('b.drv', 'b')]);
    expect(['a', 'b', 'c'].map((path) => plans.isLeftToUpstream(path))).toEqual([true, false, false]);
    expect(plans.isFetchedAfterAll('b.drv')).toBe(false);
    expect(plans.isFetchedAfterAll('a.drv')).toBe(true);
    expect(plans.isFetchedAfterAll('a.drv')).toBe(false);
    expect(plans.isLeftToUpstream('a')).toBe(false);
  });
});
