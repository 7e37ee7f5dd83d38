import { Operation } from '@mesh/nix';
import type { FrontDoorRights } from '../config/sections/front-door.ts';

/** Questions, and copying out. */
const READING: readonly number[] = [
  Operation.IsValidPath,
  Operation.QueryPathHash,
  Operation.QueryReferences,
  Operation.QueryReferrers,
  Operation.AddTempRoot,
  Operation.QueryDeriver,
  Operation.SetOptions,
  Operation.QueryAllValidPaths,
  Operation.QueryPathInfo,
  Operation.QueryDerivationOutputs,
  Operation.QueryDerivationOutputNames,
  Operation.QueryPathFromHashPart,
  Operation.QueryValidPaths,
  Operation.QueryValidDerivers,
  Operation.NarFromPath,
  Operation.QueryMissing,
  Operation.QueryDerivationOutputMap,
  Operation.QueryRealisation,
];

/** What a builder and a store to write to need besides. Neither roots, nor collecting, nor keys: nothing that outlives the connection but paths. */
const BUILDING: readonly number[] = [
  Operation.HasSubstitutes,
  Operation.QuerySubstitutablePathInfo,
  Operation.QuerySubstitutablePathInfos,
  Operation.QuerySubstitutablePaths,
  Operation.AddToStore,
  Operation.AddTextToStore,
  Operation.AddToStoreNar,
  Operation.AddMultipleToStore,
  Operation.RegisterDrvOutput,
  Operation.EnsurePath,
  Operation.BuildPaths,
  Operation.BuildPathsWithResults,
  Operation.BuildDerivation,
];

const ALLOWED: Readonly<Record<FrontDoorRights, ReadonlySet<number>>> = {
  store: new Set(READING),
  build: new Set([...READING, ...BUILDING]),
};

/** Why an operation is not for somebody with these rights; undefined where it is. */
export function refusalFor(rights: FrontDoorRights): (operation: number) => string | undefined {
  return (operation) => {
    if (ALLOWED[rights].has(operation)) return undefined;
    return rights === 'store' && ALLOWED.build.has(operation)
      ? 'Your key may only read from this store; ask its owner for the rights to build.'
      : `The front door of the mesh does not do this (operation ${operation}); do it on the machine itself.`;
  };
}
