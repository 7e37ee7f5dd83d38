import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { resolveDerivation } from './basic-derivation.ts';
import { parseDerivation } from './derivation.ts';

const fixture = (name: string) =>
  parseDerivation(readFileSync(new URL(`../fixtures/${name}.drv`, import.meta.url)));
const path = (name: string): string => `/nix/store/g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-${name}`;

test('input paths take the place of input derivations, sorted and once', () => {
  const drv = fixture('plain');
  expect(resolveDerivation(drv, [path('b'), path('a'), path('b')])).toEqual({
    outputs: drv.outputs,
    inputSrcs: [path('a'), path('b')],
    system: drv.system,
    builder: drv.builder,
    args: drv.args,
    env: drv.env,
  });
});

test('a derivation without input derivations keeps exactly its sources', () => {
  expect(resolveDerivation(fixture('fixed'), [path('a')]).inputSrcs).toEqual([]);
});
