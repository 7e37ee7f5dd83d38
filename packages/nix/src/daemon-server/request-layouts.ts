import { FEATURE_DELETE_REFERRERS, FEATURE_REALISATION_WITH_PATH, Operation } from '../daemon/constants.ts';
import type { Field, Layout } from './field-walker.ts';

const PATHS: Field = { each: ['string'] };
const PAIRS: Field = { each: ['string', 'string'] };
const OUTPUTS: Field = { each: ['string', 'string', 'string', 'string'] };

const ONE_STRING: Layout = ['string'];
const NOTHING: Layout = [];
/** deriver, NAR hash, references, registration time, NAR size, ultimate, signatures, content address */
export const PATH_INFO: Layout = ['string', 'string', PATHS, 'number', 'number', 'number', PATHS, 'string'];

/** What follows the operation's number, as protocols 1.34 to 1.38 without features have it. */
const LAYOUTS: ReadonlyMap<number, Layout> = new Map<number, Layout>([
  [Operation.IsValidPath, ONE_STRING],
  [Operation.HasSubstitutes, ONE_STRING],
  [Operation.QueryPathHash, ONE_STRING],
  [Operation.QueryReferences, ONE_STRING],
  [Operation.QueryReferrers, ONE_STRING],
  [Operation.AddToStore, ['string', 'string', PATHS, 'number', 'frames']],
  [Operation.AddTextToStore, ['string', 'string', PATHS]],
  [Operation.BuildPaths, [PATHS, 'number']],
  [Operation.EnsurePath, ONE_STRING],
  [Operation.AddTempRoot, ONE_STRING],
  [Operation.AddIndirectRoot, ONE_STRING],
  [Operation.SyncWithGC, NOTHING],
  [Operation.FindRoots, NOTHING],
  [Operation.ExportPath, ['string', 'number']],
  [Operation.QueryDeriver, ONE_STRING],
  [Operation.SetOptions, [...Array<'number'>(12).fill('number'), PAIRS]],
  [Operation.CollectGarbage, ['number', PATHS, 'number', 'number', 'number', 'number', 'number']],
  [Operation.QuerySubstitutablePathInfo, ONE_STRING],
  [Operation.QueryDerivationOutputs, ONE_STRING],
  [Operation.QueryAllValidPaths, NOTHING],
  [Operation.QueryPathInfo, ONE_STRING],
  [Operation.QueryDerivationOutputNames, ONE_STRING],
  [Operation.QueryPathFromHashPart, ONE_STRING],
  [Operation.QuerySubstitutablePathInfos, [PAIRS]],
  [Operation.QueryValidPaths, [PATHS, 'number']],
  [Operation.QuerySubstitutablePaths, [PATHS]],
  [Operation.QueryValidDerivers, ONE_STRING],
  [Operation.OptimiseStore, NOTHING],
  [Operation.VerifyStore, ['number', 'number']],
  [Operation.BuildDerivation, ['string', OUTPUTS, PATHS, 'string', 'string', PATHS, PAIRS, 'number']],
  [Operation.AddSignatures, ['string', PATHS]],
  [Operation.NarFromPath, ONE_STRING],
  [Operation.AddToStoreNar, ['string', ...PATH_INFO, 'number', 'number', 'frames']],
  [Operation.QueryMissing, [PATHS]],
  [Operation.QueryDerivationOutputMap, ONE_STRING],
  [Operation.RegisterDrvOutput, ONE_STRING],
  [Operation.QueryRealisation, ONE_STRING],
  [Operation.AddMultipleToStore, ['number', 'number', 'frames']],
  [Operation.AddBuildLog, ['string', 'frames']],
  [Operation.BuildPathsWithResults, [PATHS, 'number']],
  [Operation.AddPermRoot, ['string', 'string']],
]);

/** What features change. An operation without a layout there cannot be followed. */
const CHANGED: ReadonlyMap<string, ReadonlyMap<number, Layout | undefined>> = new Map([
  [
    FEATURE_REALISATION_WITH_PATH,
    new Map<number, Layout>([
      [Operation.RegisterDrvOutput, ['string', 'string', 'string', PATHS]],
      [Operation.QueryRealisation, ['string', 'string']],
    ]),
  ],
  // Its paths are there or not, by a number before them: rare enough to let the rest of the connection pass unread.
  [FEATURE_DELETE_REFERRERS, new Map([[Operation.CollectGarbage, undefined]])],
  // Change nothing in what is listed here.
  ['disable-set-options', new Map()],
  ['add-to-store-scanning', new Map()],
  ['submit-output', new Map()],
]);

/** Whether requests under this feature can be followed. */
export function isKnownFeature(feature: string): boolean {
  return CHANGED.has(feature);
}

/**
 * What follows an operation's number, or undefined where the operation is not known, or asks the client for more than its
 * request (ImportPaths), so that its end cannot be told from the client's side.
 * Sources: NixOS/nix src/libstore/daemon.cc and worker-protocol.cc, 2.8 to 2.35.
 */
export function requestLayout(operation: number, features: ReadonlySet<string>): Layout | undefined {
  for (const feature of features) {
    const changed = CHANGED.get(feature);
    if (changed?.has(operation)) return changed.get(operation);
  }
  return LAYOUTS.get(operation);
}
