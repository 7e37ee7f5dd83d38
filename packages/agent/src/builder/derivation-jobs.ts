import {
  type BuildDerivationRequest,
  type ClientBuildResult,
  type ClientTalk,
  derivationOptions,
  printDerivation,
} from '@mesh/nix';
import type { BuildOptions } from '@mesh/wire';
import type { AgentlessBuilders } from '../agentless/builders.ts';
import { AgentError } from '../errors.ts';
import { replay } from '../job/build-inputs.ts';
import type { Job } from '../job/job.ts';
import type { JobRunner } from '../job/job-runner.ts';
import { BuildTalk } from './build-talk.ts';

/** `BuildResult::Status` of Nix. */
const BUILT = 0;
const PERMANENT_FAILURE = 3;
const MISC_FAILURE = 9;

export interface DerivationJobsInit {
  /** This machine's peer id. */
  readonly self: string;
}

export interface DerivationJobsComponents {
  readonly runner: Pick<JobRunner, 'create' | 'run' | 'holdersOf'>;
  /** Machines without an agent. */
  readonly builders: Pick<AgentlessBuilders, 'views'>;
  /** Seconds since 1970. */
  readonly nowS: () => number;
}

/** Where a derivation is built, and for whom. */
export interface DerivationOrder {
  /** On other members alone, where the outputs stay; or wherever the mesh likes, and the outputs come into this store. */
  readonly where: 'others' | 'anywhere';
  /** Who asked, as `mesh jobs` tells. */
  readonly submitter: string;
}

/** How it ended, and who has the outputs where they did not come here. */
export interface DerivationEnd {
  readonly result: ClientBuildResult;
  /** Store paths of outputs to peer ids. */
  readonly holders: ReadonlyMap<string, readonly string[]>;
}

/** Derivations that Nix hands over one by one, by content, as it does to its builders: each becomes a job. */
export class DerivationJobs {
  readonly #init: DerivationJobsInit;
  readonly #components: DerivationJobsComponents;

  constructor(init: DerivationJobsInit, components: DerivationJobsComponents) {
    this.#init = init;
    this.#components = components;
  }

  /** Builds one derivation, which ends when the client is gone. What goes wrong is an end too; it throws only faults of the mesh itself. */
  async build(
    { drvPath, derivation }: BuildDerivationRequest,
    talk: ClientTalk,
    { where, submitter }: DerivationOrder,
  ): Promise<DerivationEnd> {
    const { runner, builders, nowS } = this.#components;
    const startTimeS = nowS();
    const resolved = {
      ...derivation,
      outputs: new Map(derivation.outputs),
      env: new Map(derivation.env),
      inputDrvs: new Map<string, string[]>(),
      inputSrcs: [...derivation.inputSrcs],
      args: [...derivation.args],
    };
    const failed = (status: number, errorMsg: string): DerivationEnd => ({
      result: { status, errorMsg, startTimeS, stopTimeS: nowS() },
      holders: new Map(),
    });
    if (derivationOptions(derivation).impure)
      return failed(
        MISC_FAILURE,
        `${drvPath} is impure, which the mesh builds at home alone; build it there.`,
      );
    const others = where === 'others';
    // What machines without an agent build is brought home at once, where Nix has the outputs locked until this job is over.
    const noMembers = () => [this.#init.self, ...builders.views().map(({ peerId }) => peerId)];
    try {
      const job = runner.create(others ? { ...OPTIONS, not: noMembers() } : OPTIONS, submitter);
      await this.#run(job, talk, {
        drvPath,
        derivations: new Map([[drvPath, printDerivation(resolved)]]),
        others,
      });
      if (job.state !== 'built') {
        const [failure] = job.failures;
        const status = failure === undefined || failure.noMachine ? MISC_FAILURE : PERMANENT_FAILURE;
        return failed(status, failure?.message ?? 'The build was cancelled.');
      }
      const outputs = outputsOf(job, drvPath, derivation.outputs);
      const holders = new Map(
        [...outputs.values()].map((path) => [path, this.#holdersOf(job, drvPath, path)]),
      );
      return { result: { status: BUILT, errorMsg: '', startTimeS, stopTimeS: nowS(), outputs }, holders };
    } catch (error) {
      // What the mesh refuses, or cannot bring home, is the end of this build and not of the connection.
      if (error instanceof AgentError) return failed(MISC_FAILURE, error.message);
      throw error;
    }
  }

  async #run(
    job: Job,
    talk: ClientTalk,
    {
      drvPath,
      derivations,
      others,
    }: { drvPath: string; derivations: Map<string, Uint8Array>; others: boolean },
  ): Promise<void> {
    const lines = new BuildTalk(talk, drvPath);
    const stop = job.onEvent((event) => lines.hear(event));
    try {
      const wanted = replay([{ drvPath, outputs: [] }]);
      await this.#components.runner.run(job, wanted, talk.signal, { derivations, resultsStay: others });
    } finally {
      stop();
      lines.end();
    }
  }

  /** Who built it, and whoever was heard to have it. */
  #holdersOf(job: Job, drvPath: string, path: string): string[] {
    const builder = job.timelines.get(drvPath)?.peerId;
    const known = this.#components.runner.holdersOf(path);
    return [...new Set([...(builder === null || builder === undefined ? [] : [builder]), ...known])];
  }
}

/** Lines are told as they come. */
const OPTIONS: BuildOptions = { local: false, keepGoing: false, dryRun: false, logs: true };

/** Output names to paths: as the derivation has them, or, where it knows none before, as they were built. */
function outputsOf(
  job: Job,
  drvPath: string,
  known: ReadonlyMap<string, { readonly path: string }>,
): Map<string, string> {
  const built = job.builtOutputs.get(drvPath);
  const outputs = new Map<string, string>();
  for (const [name, { path }] of known) {
    const found = path === '' ? built?.get(name) : path;
    if (found !== undefined) outputs.set(name, found);
  }
  return outputs;
}
