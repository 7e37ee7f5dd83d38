import { describe, expect, test } from 'vitest';
import type { Derivation } from './derivation.ts';
import { outputPlaceholder, realisations, withInputsResolved } from './realisation.ts';

const INPUT = '/nix/store/g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-foo.drv';
const PATH = `/nix/store/${'0'.repeat(32)}-foo`;
const DRV: Derivation = {
  outputs: new Map([['out', { path: '', hashAlgo: 'r:sha256', hash: '' }]]),
  inputDrvs: new Map([[INPUT, ['out']]]),
  inputSrcs: [],
  system: 'x86_64-linux',
  builder: '/bin/sh',
  args: ['-c', `cat ${outputPlaceholder(INPUT, 'out')}/x > $out`],
  env: new Map([
    ['foo', outputPlaceholder(INPUT, 'out')],
    ['out', '/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9'],
  ]),
};

describe('a derivation on content-addressed inputs', () => {
  // From Nix's own unit tests (src/libstore-tests/downstream-placeholder.cc).
  test('has placeholders as Nix makes them', () => {
    expect(outputPlaceholder(INPUT, 'out')).toBe('/0c6rn30q4frawknapgwq386zq358m8r6msvywcvc89n6m5p2dgbz');
  });

  test('has the paths they came to when it is resolved, and nothing else changes', () => {
    const resolved = withInputsResolved(DRV, () => PATH)!;
    expect(resolved).toEqual({
      ...DRV,
      inputDrvs: new Map(),
      inputSrcs: [PATH],
      args: ['-c', `cat ${PATH}/x > $out`],
      env: new Map([
        ['foo', PATH],
        ['out', DRV.env.get('out')],
      ]),
    });
  });

  test('cannot be resolved while one of them has no path', () => {
    expect(withInputsResolved(DRV, () => undefined)).toBeUndefined();
  });

  test('is found again without regard to what stands for its own outputs', () => {
    const resolved = withInputsResolved(DRV, () => PATH)!;
    const named = { ...resolved, env: new Map(resolved.env).set('out', 'anything') };
    const hashOf = (drv: Derivation) => realisations(INPUT, drv, new Map([['out', PATH]]))[0]!.derivationHash;
    expect(hashOf(named)).toBe(hashOf(resolved));
    expect(hashOf({ ...resolved, args: [] })).not.toBe(hashOf(resolved));
  });
});
