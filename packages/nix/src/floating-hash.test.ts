import { expect, test } from 'vitest';
import { resolveDerivation } from './basic-derivation.ts';
import { parseDerivation } from './derivation.ts';
import { floatingHash } from './floating-hash.ts';

/** Written by Nix 2.34. */
const FLOATING = String.raw`Derive([("out","","r:sha256","")],[],[],"x86_64-linux","/bin/sh",["-c","echo \"floating $salt\" > $out"],[("builder","/bin/sh"),("name","addressed"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),("outputHashAlgo","sha256"),("outputHashMode","recursive"),("requiredSystemFeatures",""),("salt","vec"),("system","x86_64-linux")])`;
const hashOf = (text: string): string | undefined =>
  floatingHash(resolveDerivation(parseDerivation(Buffer.from(text)), []));

test('is what Nix calls the realisation of a floating output', () => {
  // As `nix realisation info` of Nix 2.34 says.
  expect(hashOf(FLOATING)).toBe('9f82e35203a56d4017f60d3f3c5a432b47374158572b0b1984bea5c351d5b875');
});

test('is not known of outputs whose path is known before', () => {
  const path = `/nix/store/${'a'.repeat(32)}-addressed`;
  expect(hashOf(FLOATING.replace('("out","","r:sha256","")', `("out","${path}","","")`))).toBeUndefined();
  const fixed = `("out","${path}","r:sha256","${'0'.repeat(64)}")`;
  expect(hashOf(FLOATING.replace('("out","","r:sha256","")', fixed))).toBeUndefined();
});
