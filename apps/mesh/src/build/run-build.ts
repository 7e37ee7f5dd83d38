import { setTimeout as delay } from 'node:timers/promises';
import type { BuildInput, BuildOptions, JobEvent } from '@mesh/wire';
import { CANCEL_WAIT_MS } from '../constants.ts';
import { CliError, EXIT } from '../errors.ts';
import type { Renderer } from '../render/renderer.ts';
import { askForBuild, type BuildPorts } from './build-port.ts';
import { startReading } from './eager.ts';
import type { WantedDerivation } from './evaluate.ts';

type JobFinished = Extract<JobEvent, { type: 'job-finished' }>;

export interface BuildRun {
  /** What Nix's evaluation yields; aborting the signal given to it must end it. */
  evaluate(signal: AbortSignal): AsyncIterable<WantedDerivation>;
  ports: BuildPorts;
  options: BuildOptions;
  renderer: Renderer;
  interrupts: { signal: AbortSignal; exitCode(): number | undefined };
  /** Called with the end of the job, whatever it was, before any error is thrown. */
  onFinished(finished: JobFinished): Promise<void>;
}

/** A built installable: its derivation and the paths of the outputs wanted, in order. */
export interface BuildResult {
  drvPath: string;
  outputs: Map<string, string>;
}

/**
 * One build from evaluation to the end of the job. Throws evaluation's error, the agent's, a silent `CliError` with exit code
 * 100 where builds failed (the renderer has told; 1 where no machine could build), or `MESH_INTERRUPTED`.
 */
export async function runBuild(run: BuildRun): Promise<BuildResult[]> {
  const { interrupts, renderer } = run;
  const cancel = new AbortController();
  const signal = AbortSignal.any([interrupts.signal, cancel.signal]);
  const wanted = new Map<string, WantedDerivation>();
  let finished: JobFinished | undefined;
  const inputs = startReading(toInputs(run.evaluate(signal), wanted));
  let evaluationError: { error: unknown } | undefined;
  const evaluationFailed = inputs.failed.then((error) => {
    // An evaluation that we cancelled ourselves explains nothing.
    if (!cancel.signal.aborted) evaluationError = { error };
    throw error;
  });
  const build = askForBuild(run.ports, run.options, {
    inputs: inputs.items,
    signal,
    emit(response) {
      if (response.type !== 'event') return;
      if (response.event.type === 'job-finished') finished = response.event;
      renderer.event(response.event);
    },
  });
  try {
    await Promise.race([build, evaluationFailed, interrupted(interrupts.signal)]);
  } catch (error) {
    cancel.abort();
    // The agent has a moment to say that everything stopped, and Nix to stop evaluating; their own words about that add
    // nothing to the first error.
    await Promise.race([Promise.allSettled([build, inputs.ended]), delay(CANCEL_WAIT_MS)]);
    throw firstCause(error);
  } finally {
    cancel.abort();
    if (finished !== undefined) await run.onFinished(finished);
  }
  if (finished === undefined) throw new Error('The agent answered a build without saying how the job ended.');
  if (!finished.ok) throw buildFailed(finished);
  return collectResults([...wanted.values()], finished);

  /** An interrupt explains every error that comes after it, and a failed evaluation explains the agent's. */
  function firstCause(error: unknown): unknown {
    const exitCode = interrupts.exitCode();
    if (exitCode !== undefined) {
      return new CliError('MESH_INTERRUPTED', exitCode, 'interrupted', { silent: true });
    }
    if (evaluationError !== undefined) return evaluationError.error;
    const isTold = error instanceof Error && 'code' in error && error.code === 'BUILD_FAILED';
    return isTold && finished?.ok === false ? buildFailed(finished) : error;
  }
}

async function* toInputs(
  derivations: AsyncIterable<WantedDerivation>,
  wanted: Map<string, WantedDerivation>,
): AsyncGenerator<BuildInput, void, undefined> {
  for await (const derivation of derivations) {
    const { drvPath } = derivation;
    const known = wanted.get(drvPath);
    const outputs = [...new Set([...(known?.outputs ?? []), ...derivation.outputs])];
    if (known !== undefined && outputs.length === known.outputs.length) continue;
    wanted.set(drvPath, {
      drvPath,
      outputs,
      outputPaths: new Map([...(known?.outputPaths ?? []), ...derivation.outputPaths]),
    });
    yield { type: 'derivation', drvPath, outputs: derivation.outputs };
  }
  yield { type: 'evaluated' };
}

function interrupted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(signal.reason);
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}

/** The renderer has said which builds, and why. No build failed where no machine could try, or all failed. */
function buildFailed({ noMachine }: JobFinished): CliError {
  const exitCode = noMachine === true ? EXIT.failure : EXIT.buildFailed;
  return new CliError('BUILD_FAILED', exitCode, 'a build failed', { silent: true });
}

/** Paths as the agent found them; a dry run has only those that the `.drv`s name. */
function collectResults(wanted: readonly WantedDerivation[], finished: JobFinished): BuildResult[] {
  const byDrv = new Map(finished.outputs.map(({ drvPath, outputs }) => [drvPath, outputs]));
  return wanted.map(({ drvPath, outputs, outputPaths }) => {
    const known = byDrv.get(drvPath) ?? {};
    const paths = outputs.flatMap((name) => {
      const path = known[name] ?? outputPaths.get(name);
      return path === undefined ? [] : [[name, path] as const];
    });
    return { drvPath, outputs: new Map(paths) };
  });
}
