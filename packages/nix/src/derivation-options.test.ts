import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseDerivation } from './derivation.ts';
import { derivationOptions } from './derivation-options.ts';

const optionsOf = (name: string) =>
  derivationOptions(parseDerivation(readFileSync(new URL(`../fixtures/${name}.drv`, import.meta.url))));

const PLAIN = {
  requiredSystemFeatures: [],
  preferLocalBuild: false,
  allowSubstitutes: true,
  noChroot: false,
  isFixedOutput: false,
  isBuiltin: false,
  isContentAddressed: false,
  isDeferred: false,
  impure: false,
};

test('a plain derivation asks for nothing', () => {
  expect(optionsOf('plain')).toEqual(PLAIN);
});

test('structured attributes are read from their JSON', () => {
  expect(optionsOf('structured')).toEqual({
    ...PLAIN,
    requiredSystemFeatures: ['benchmark', 'kvm'],
    preferLocalBuild: true,
    allowSubstitutes: false,
  });
});

test('kinds of outputs are told apart', () => {
  expect(optionsOf('fixed')).toEqual({ ...PLAIN, isFixedOutput: true, preferLocalBuild: true });
  expect(optionsOf('fetch')).toEqual({ ...PLAIN, isFixedOutput: true, isBuiltin: true });
  expect(optionsOf('deferred')).toEqual({ ...PLAIN, isDeferred: true });
  expect(optionsOf('floating')).toEqual({
    ...PLAIN,
    isContentAddressed: true,
    requiredSystemFeatures: ['ca-derivations'],
  });
});

const withEnv = (env: Record<string, string>, output = { path: '', hashAlgo: '', hash: '' }) =>
  derivationOptions({ outputs: new Map([['out', output]]), builder: 'b', env: new Map(Object.entries(env)) });

test('features in the environment are words', () => {
  expect(withEnv({ requiredSystemFeatures: ' kvm\n big-parallel kvm ' }).requiredSystemFeatures).toEqual([
    'big-parallel',
    'kvm',
  ]);
});

test('only 1 is true in the environment', () => {
  expect(withEnv({ __noChroot: '1', preferLocalBuild: 'true', allowSubstitutes: '' })).toMatchObject({
    noChroot: true,
    preferLocalBuild: false,
    allowSubstitutes: false,
  });
});

test('an impure output is neither fixed nor content-addressed', () => {
  expect(withEnv({}, { path: '', hashAlgo: 'r:sha256', hash: 'impure' })).toMatchObject({
    impure: true,
    isFixedOutput: false,
    isContentAddressed: false,
  });
});

test.each([
  ['no JSON', '{'],
  ['no object', '[]'],
  ['a feature that is no text', '{"requiredSystemFeatures":[1]}'],
  ['a flag that is no boolean', '{"preferLocalBuild":"yes"}'],
])('structured attributes with %s are refused', (_, json) => {
  expect(() => withEnv({ __json: json })).toThrow(expect.objectContaining({ code: 'NIX_BAD_DERIVATION' }));
});
