import {
  type ClientBuildResult,
  type ClientHandlers,
  type ClientSettings,
  type ClientTalk,
  type Derivation,
  readDerivation,
} from '@mesh/nix';
import type { BuildOptions } from '@mesh/wire';
import { limitsOf } from '../job/client-settings.ts';
import type { BuildPort } from './build-port.ts';
import { JobActivities } from './job-activities.ts';
import { JobOutcome } from './job-outcome.ts';
import { buildInputs, type WantedDerivation, wantedDerivations } from './wanted-derivations.ts';

export interface BuildHandlersComponents {
  readonly port: BuildPort;
  /** Cores that this machine's nix.conf gives a build: what a client says unless it wishes otherwise. */
  defaultCores(): number | Promise<number>;
  /** Those of these store paths that are valid in this store. */
  queryValidPaths(paths: string[]): Promise<ReadonlySet<string>>;
}

/** Builds that clients of this machine's Nix want, as jobs of the mesh; all else is left to the real daemon. */
export function buildHandlers({
  port,
  defaultCores,
  queryValidPaths,
}: BuildHandlersComponents): ClientHandlers {
  return {
    async buildPaths(request, talk) {
      const wanted = wantedDerivations(request.wanted);
      if (wanted.length === 0) return 'pass';
      if (request.settings.keepFailed) {
        talk.line(
          'warning: with keep-failed, builds stay on this machine, where the folder of a failed one is kept',
        );
        return 'pass';
      }
      const missing = await notValid(wanted, queryValidPaths);
      if (missing.length === 0 || talk.signal.aborted) return 'pass';
      return build(port, missing, jobOptions(request.settings, await defaultCores()), talk);
    },
  };
}

async function build(
  port: BuildPort,
  wanted: readonly WantedDerivation[],
  options: BuildOptions,
  talk: ClientTalk,
): Promise<'pass' | ReadonlyMap<string, ClientBuildResult>> {
  const activities = new JobActivities(talk);
  const outcome = new JobOutcome(wanted);
  try {
    await port.build({
      options,
      inputs: buildInputs(wanted),
      signal: talk.signal,
      onEvent(event) {
        activities.hear(event);
        const failure = outcome.hear(event);
        if (failure !== undefined) talk.line(errorLine(failure));
      },
    });
  } catch (error) {
    if (talk.signal.aborted) return 'pass';
    // What the mesh refuses or cannot finish is the end of these builds, not of the connection.
    outcome.brokeOff(error instanceof Error ? error.message : String(error));
  } finally {
    activities.end();
  }
  const results = outcome.failures();
  return results.size === 0 ? 'pass' : results;
}

/** As Nix shows errors: in red, with what follows below the first line's text. */
function errorLine(text: string): string {
  return `\u001b[31;1merror:\u001b[0m ${text.replaceAll('\n', '\n       ')}`;
}

/** Logs are always told; whether they are shown is the client's choice. */
function jobOptions(settings: ClientSettings, defaultCores: number): BuildOptions {
  const { keepGoing, maxBuildJobs } = settings;
  // `--max-jobs 0` is how Nix is told to build elsewhere.
  const not = maxBuildJobs === 0 ? { not: ['home'] } : {};
  const limits = limitsOf(settings, defaultCores);
  return { local: false, keepGoing, dryRun: false, logs: true, ...not, ...(limits && { limits }) };
}

/**
 * Those of which an output that is wanted is not valid, or not known before it is built. A `.drv` that is not valid here is left to the
 * real daemon, which says so.
 */
async function notValid(
  wanted: readonly WantedDerivation[],
  queryValidPaths: BuildHandlersComponents['queryValidPaths'],
): Promise<WantedDerivation[]> {
  const validDrvs = await queryValidPaths([...new Set(wanted.map(({ drvPath }) => drvPath))]);
  const readable = wanted.filter(({ drvPath }) => validDrvs.has(drvPath));
  const paths = new Map<WantedDerivation, readonly (string | undefined)[]>();
  for (const one of readable) paths.set(one, pathsOf(one, await readDerivation(one.drvPath)));
  const known = [...paths.values()].flat().filter((path) => path !== undefined);
  const valid = await queryValidPaths([...new Set(known)]);
  return readable.filter((one) => paths.get(one)?.some((path) => path === undefined || !valid.has(path)));
}

/** Paths of the outputs wanted; undefined where the derivation does not know it. An output it does not have is the daemon's to refuse. */
function pathsOf({ outputs }: WantedDerivation, derivation: Derivation): (string | undefined)[] {
  return [...derivation.outputs]
    .filter(([name]) => outputs.length === 0 || outputs.includes(name))
    .map(([, { path }]) => (path === '' ? undefined : path));
}
