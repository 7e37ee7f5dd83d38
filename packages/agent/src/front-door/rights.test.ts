import { Operation } from '@mesh/nix';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { refusalFor } from './rights.ts';

describe('what keys of the front door may do', () => {
  test('a reader asks and copies out, and changes nothing', () => {
    const refusal = refusalFor('store');
    for (const operation of [Operation.QueryPathInfo, Operation.NarFromPath, Operation.QueryValidPaths])
      expect(refusal(operation)).toBeUndefined();
    for (const operation of [Operation.AddMultipleToStore, Operation.BuildDerivation, Operation.BuildPaths])
      expect(refusal(operation)).toContain('may only read');
  });

  test('whoever builds may upload and build, and neither collect, nor root, nor sign, nor verify', () => {
    const refusal = refusalFor('build');
    for (const operation of [Operation.AddMultipleToStore, Operation.BuildDerivation, Operation.BuildPaths])
      expect(refusal(operation)).toBeUndefined();
    const { CollectGarbage, AddIndirectRoot, AddPermRoot, AddSignatures, VerifyStore, AddBuildLog } =
      Operation;
    for (const operation of [
      CollectGarbage,
      AddIndirectRoot,
      AddPermRoot,
      AddSignatures,
      VerifyStore,
      AddBuildLog,
    ])
      expect(refusal(operation)).toContain('does not do this');
  });

  test('what nobody knows is refused to all', () => {
    const known = new Set<number>(Object.values(Operation));
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom('build', 'store'), (operation, rights) => {
        fc.pre(!known.has(operation));
        expect(refusalFor(rights)(operation)).toBeDefined();
      }),
    );
  });
});
