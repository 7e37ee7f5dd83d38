import type { ClientHandlers } from '@mesh/nix';
import type { DerivationJobs } from './derivation-jobs.ts';
import type { DistantOutputs } from './distant-outputs.ts';

/** What `mesh jobs` says of who asked: this machine's Nix, not its user. */
const SUBMITTER = 'nix-daemon';
/** `BuildResult::Status` of Nix. */
const MISC_FAILURE = 9;

/**
 * This machine's own store as a builder of its Nix: every input is valid there, so nothing is uploaded. The Nix that asks holds the
 * locks of the outputs in that store until it has copied them, so that nothing may be built or fetched into it meanwhile: builds run on
 * other machines, and Nix gets the outputs straight from there.
 */
export function builderHandlers(jobs: DerivationJobs, outputs: DistantOutputs): ClientHandlers {
  return {
    async buildDerivation(request, talk) {
      if (request.mode !== 'normal')
        return {
          status: MISC_FAILURE,
          errorMsg: 'The mesh checks and repairs nothing as a builder; do so without builders.',
        };
      const { result, holders } = await jobs.build(request, talk, { where: 'others', submitter: SUBMITTER });
      for (const [path, peers] of holders) outputs.add(path, peers);
      return result;
    },
    // Nix asks its builders for one derivation at a time; anything else would be built in the store it has locked.
    buildPaths: async ({ wanted }) =>
      new Map(
        wanted.map((path) => [
          path,
          {
            status: MISC_FAILURE,
            errorMsg: 'mesh-builder is a builder, not a store; use the socket of the agent (NIX_REMOTE).',
          },
        ]),
      ),
    queryPathInfo: (path) => outputs.queryPathInfo(path),
    narFromPath: (path, write) => outputs.narFromPath(path, write),
  };
}
