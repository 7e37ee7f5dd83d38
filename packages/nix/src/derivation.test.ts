import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Derivation, type DerivationOutput, parseDerivation, printDerivation } from './derivation.ts';

const FIXTURES = new URL('../fixtures/', import.meta.url);
const fixture = (name: string): Buffer => readFileSync(new URL(name, FIXTURES));

describe('derivations written by Nix', () => {
  test.each(readdirSync(FIXTURES).filter((name) => name.endsWith('.drv')))('%s prints as it was', (name) => {
    const bytes = fixture(name);
    expect(Buffer.from(printDerivation(parseDerivation(bytes))).equals(bytes)).toBe(true);
  });

  test('a plain one has outputs, inputs, a builder and an environment', () => {
    const drv = parseDerivation(fixture('plain.drv'));
    expect(drv.outputs.get('out')).toEqual({
      path: expect.stringMatching(/^\/nix\/store\/.*-plain$/),
      hashAlgo: '',
      hash: '',
    });
    expect([...drv.inputDrvs.values()]).toEqual([['dev', 'out']]);
    expect(drv).toMatchObject({ system: 'x86_64-linux', builder: '/bin/sh', args: ['-c', 'echo > $out'] });
    expect(drv.env.get('script')).toBe('tab\tquote" back\\slash\nreturn\r dollar$' + '{x} ünï €');
  });

  test('a fixed output has a hash', () => {
    expect(parseDerivation(fixture('fixed.drv')).outputs.get('out')).toMatchObject({
      hashAlgo: 'r:sha256',
      hash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    });
  });

  test('bytes that are not UTF-8 are kept', () => {
    expect(parseDerivation(fixture('bytes.drv')).env.get('odd')).toBe(
      'caf\udce9 \udcff\udcfe \udce2\udc82 end',
    );
  });
});

const HASH = 'g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q';

test('dynamic derivations keep their nested inputs', () => {
  const text =
    `DrvWithVersion("xp-dyn-drv",[("out","","r:sha256","")],` +
    `[("/nix/store/${HASH}-a.drv",["out"]),` +
    `("/nix/store/${HASH}-b.drv",(["dev"],[("out",["out","x"]),("two",([],[("deep",["out"])]))]))],` +
    `[],"s","b",[],[])`;
  const drv = parseDerivation(Buffer.from(text));
  expect(drv.inputDrvs.get(`/nix/store/${HASH}-b.drv`)).toEqual(['dev']);
  expect(drv.dynamicInputs?.get(`/nix/store/${HASH}-b.drv`)?.get('out')?.outputs).toEqual(['out', 'x']);
  expect(Buffer.from(printDerivation(drv)).toString()).toBe(text);
});

test('what is printed is read back the same', () => {
  const name = fc.string({ unit: fc.constantFrom(...'abcXYZ012-._'), minLength: 1, maxLength: 20 });
  const path = name.map((text) => `/nix/store/${HASH}-x${text}`);
  const text = fc.string({ unit: fc.constantFrom(...'ab(),[]"\\\n\r\tné€𝄞', '\udcff', '\0'), maxLength: 12 });
  const output: fc.Arbitrary<DerivationOutput> = fc.record({
    path: fc.oneof(path, fc.constant('')),
    hashAlgo: fc.constantFrom('', 'sha256', 'r:sha256'),
    hash: fc.constantFrom('', 'impure', 'ab12'),
  });
  const derivation: fc.Arbitrary<Derivation> = fc.record({
    outputs: fc.array(fc.tuple(name, output), { minLength: 1 }).map((pairs) => new Map(pairs)),
    inputDrvs: fc
      .array(fc.tuple(path, fc.array(name)))
      .map((pairs) => new Map(pairs.map(([drv, outputs]) => [`${drv}.drv`, outputs]))),
    inputSrcs: fc.array(path),
    system: name,
    builder: text,
    args: fc.array(text),
    env: fc.array(fc.tuple(text, text)).map((pairs) => new Map(pairs)),
  });
  fc.assert(
    fc.property(derivation, (drv) => {
      expect(parseDerivation(printDerivation(drv))).toEqual(drv);
    }),
  );
});

describe('what Nix could not have written is refused, with the place', () => {
  const good = `Derive([("out","/nix/store/${HASH}-x","","")],[],[],"s","b",["a"],[("k","v")])`;

  test.each([
    ['nothing', '', 'byte 0'],
    ['another file', 'hello', 'byte 0'],
    ['a cut file', good.slice(0, -5), 'byte'],
    ['bytes after the end', `${good} `, `byte ${good.length}`],
    ['a string without an end', good.replace('"v")])', '"v'), 'without an end'],
    ['a string that ends in a backslash', good.replace('"v")])', '"v\\"'), 'without an end'],
    ['an output outside the store', good.replace('/nix/store/', '/tmp/'), 'output path'],
    ['no outputs', good.replace(/\[\(.*?\)\]/, '[]'), 'no outputs'],
    ['a variable twice', good.replace('("k","v")', '("k","v"),("k","w")'), 'a second time'],
    ['a comma at the end of a list', good.replace('["a"]', '["a",]'), 'byte'],
    ['an unknown version', good.replace('Derive(', 'DrvWithVersion("v9",'), 'v9'],
    [
      'a nested input in the old format',
      good.replace(',[],[],', `,[("/nix/store/${HASH}-a.drv",([],[]))],[],`),
      'byte',
    ],
  ])('%s', (_, text, hint) => {
    expect(() => parseDerivation(Buffer.from(text), '/nix/store/x.drv')).toThrow(
      expect.objectContaining({
        code: 'NIX_BAD_DERIVATION',
        message: expect.stringMatching(new RegExp(`^/nix/store/x.drv .*${hint}`)),
      }),
    );
  });

  test('every cut of a real one', () => {
    const bytes = fixture('plain.drv');
    for (let length = 0; length < bytes.length; length++) {
      expect(() => parseDerivation(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'NIX_BAD_DERIVATION' }),
      );
    }
  });

  test('dynamic inputs nested without end', () => {
    const nested = '([],[("o",'.repeat(100_000);
    const text = `DrvWithVersion("xp-dyn-drv",[("out","","","")],[("/nix/store/${HASH}-a.drv",${nested}`;
    expect(() => parseDerivation(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: 'NIX_BAD_DERIVATION' }),
    );
  });
});
