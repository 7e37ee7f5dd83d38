import { FEATURE_REALISATION_WITH_PATH, MINOR_WITH_CPU_TIMES, Operation } from '../daemon/constants.ts';
import type { Layout } from './field-walker.ts';
import type { AgreedHandshake } from './handshake.ts';
import { PATH_INFO } from './request-layouts.ts';

const NUMBER: Layout = ['number'];
const STRING: Layout = ['string'];
const NOTHING: Layout = [];
const STRINGS: Layout = [{ each: STRING }];
const PAIRS: Layout = [{ each: ['string', 'string'] }];
/** deriver, references, bytes to download, bytes of the NAR */
const SUBSTITUTABLE: Layout = ['string', { each: STRING }, 'number', 'number'];

const LAYOUTS: ReadonlyMap<number, Layout> = new Map<number, Layout>([
  [Operation.IsValidPath, NUMBER],
  [Operation.HasSubstitutes, NUMBER],
  [Operation.QueryPathHash, STRING],
  [Operation.QueryReferences, STRINGS],
  [Operation.QueryReferrers, STRINGS],
  [Operation.AddToStore, ['string', ...PATH_INFO]],
  [Operation.AddTextToStore, STRING],
  [Operation.BuildPaths, NUMBER],
  [Operation.EnsurePath, NUMBER],
  [Operation.AddTempRoot, NUMBER],
  [Operation.AddIndirectRoot, NUMBER],
  [Operation.SyncWithGC, NUMBER],
  [Operation.FindRoots, PAIRS],
  [Operation.ExportPath, NUMBER],
  [Operation.QueryDeriver, STRING],
  [Operation.SetOptions, NOTHING],
  [Operation.CollectGarbage, [{ each: STRING }, 'number', 'number']],
  [Operation.QuerySubstitutablePathInfo, [{ optional: SUBSTITUTABLE }]],
  [Operation.QueryDerivationOutputs, STRINGS],
  [Operation.QueryAllValidPaths, STRINGS],
  [Operation.QueryPathInfo, [{ optional: PATH_INFO }]],
  [Operation.QueryDerivationOutputNames, STRINGS],
  [Operation.QueryPathFromHashPart, STRING],
  [Operation.QuerySubstitutablePathInfos, [{ each: ['string', ...SUBSTITUTABLE] }]],
  [Operation.QueryValidPaths, STRINGS],
  [Operation.QuerySubstitutablePaths, STRINGS],
  [Operation.QueryValidDerivers, STRINGS],
  [Operation.OptimiseStore, NUMBER],
  [Operation.VerifyStore, NUMBER],
  [Operation.AddSignatures, NUMBER],
  [Operation.NarFromPath, ['nar']],
  [Operation.AddToStoreNar, NOTHING],
  [Operation.QueryMissing, [{ each: STRING }, { each: STRING }, { each: STRING }, 'number', 'number']],
  [Operation.QueryDerivationOutputMap, PAIRS],
  [Operation.RegisterDrvOutput, NOTHING],
  [Operation.QueryRealisation, STRINGS],
  [Operation.AddMultipleToStore, NOTHING],
  [Operation.AddBuildLog, NUMBER],
  [Operation.AddPermRoot, STRING],
]);

function buildResult({ minor, features }: AgreedHandshake): Layout {
  const cpuTimes: Layout = minor >= MINOR_WITH_CPU_TIMES ? [{ optional: NUMBER }, { optional: NUMBER }] : [];
  const outputs: Layout = features.has(FEATURE_REALISATION_WITH_PATH)
    ? [{ each: ['string', 'string', { each: STRING }] }]
    : PAIRS;
  return ['number', 'string', 'number', 'number', 'number', 'number', ...cpuTimes, ...outputs];
}

/**
 * What follows the daemon's messages in the answer to an operation, or undefined where that is not known.
 * Sources: NixOS/nix src/libstore/daemon.cc and worker-protocol.cc, 2.8 to 2.35.
 */
export function answerLayout(operation: number, handshake: AgreedHandshake): Layout | undefined {
  switch (operation) {
    case Operation.BuildDerivation:
      return buildResult(handshake);
    case Operation.BuildPathsWithResults:
      return [{ each: ['string', ...buildResult(handshake)] }];
    case Operation.QueryRealisation:
      if (handshake.features.has(FEATURE_REALISATION_WITH_PATH)) {
        return [{ optional: ['string', { each: STRING }] }];
      }
  }
  return LAYOUTS.get(operation);
}
