import type { ControlResult, FetchProgress } from '@mesh/wire';
import { watchInterrupts } from '../build/interrupts.ts';
import { type BuildFlags, checkEvaluationFlags } from '../build/options.ts';
import { storePathArgument } from '../cache/store-path-argument.ts';
import { ask } from '../control/port.ts';
import { CliError, EXIT, usageError } from '../errors.ts';
import { fetchText } from '../render/fetch-text.ts';
import { formatBytes, plural, safeLine } from '../render/text.ts';
import { type CommonFlags, printJson, printNote, printOut, runningAgent } from './io.ts';

export type CacheWarmFlags = CommonFlags &
  Pick<BuildFlags, 'file' | 'attr' | 'arg' | 'argstr'> & { json?: boolean };

/** Not more often on a screen that keeps every line. */
const PLAIN_INTERVAL_MS = 2_000;

/** `mesh cache warm`: brings the outputs of installables here with all they refer to, from whoever has them, and builds nothing. */
export async function cacheWarm(args: readonly string[], flags: CacheWarmFlags): Promise<void> {
  checkEvaluationFlags(flags);
  const interrupts = watchInterrupts(process, (exitCode) => process.exit(exitCode));
  try {
    const paths = await wantedPaths(args, flags, interrupts.signal);
    const show = progressLines(process.stderr);
    const value = await ask(
      runningAgent(flags),
      { method: 'cache-warm', paths },
      {
        signal: interrupts.signal,
        emit: (response) => {
          if (response.type === 'progress') show.progress(response.progress);
        },
      },
    );
    show.end();
    if (flags.json) printJson(value);
    else printOut(cacheWarmText(value));
    if (value.missing.length > 0) throw missing(value.missing);
  } catch (error) {
    const exitCode = interrupts.exitCode();
    if (exitCode !== undefined)
      throw new CliError('MESH_INTERRUPTED', exitCode, 'interrupted', { silent: true });
    throw error;
  } finally {
    interrupts.stop();
  }
}

/** The store paths meant; no process starts where all are named as such. */
async function wantedPaths(
  args: readonly string[],
  flags: CacheWarmFlags,
  signal: AbortSignal,
): Promise<string[]> {
  const paths: string[] = [];
  const installables: string[] = [];
  for (const arg of args) {
    const path = /^[./]/.test(arg) ? await storePathArgument(arg) : undefined;
    // A derivation stands for its outputs, as with `mesh build`.
    if (path === undefined || path.endsWith('.drv')) installables.push(path ?? arg);
    else paths.push(path);
  }
  installables.push(...flags.attr);
  if (installables.length === 0 && paths.length > 0) return paths;
  const { startEvaluation } = await import('../build/evaluation-start.ts');
  const evaluation = await startEvaluation(installables, flags, process.cwd());
  try {
    for await (const { drvPath, outputs, outputPaths } of evaluation.items(signal)) {
      const unknown = outputs.find((name) => !outputPaths.has(name));
      if (unknown !== undefined) {
        throw usageError(
          `Where the output "${unknown}" of ${drvPath} will be is known only once it is built; use \`mesh build\` for it.`,
        );
      }
      paths.push(...outputPaths.values());
    }
  } finally {
    evaluation.cancel();
  }
  return paths;
}

export function cacheWarmText({
  alreadyHere,
  fetchedPaths,
  fetchedBytes,
  sources,
}: ControlResult<'cache-warm'>): string {
  const givers = Object.keys(sources).map((name) => safeLine(name, false));
  const from = givers.length === 0 ? '' : ` from ${givers.join(', ')}`;
  const here = alreadyHere === 0 ? '' : `, ${plural(alreadyHere, 'path')} of those named were here`;
  return `fetched ${plural(fetchedPaths, 'path')}, ${formatBytes(fetchedBytes)}${from}${here}`;
}

function missing(paths: readonly string[]): CliError {
  for (const path of paths) printNote(`nobody has ${path}`);
  return new CliError('CACHE_MISSING', EXIT.failure, 'nobody has some of it', { silent: true });
}

/** One line that changes on a terminal, and a line now and then elsewhere. */
function progressLines(stream: NodeJS.WriteStream): { progress(progress: FetchProgress): void; end(): void } {
  let shownMs = -PLAIN_INTERVAL_MS;
  let open = false;
  return {
    progress(progress) {
      const line = fetchText(progress);
      if (stream.isTTY) {
        stream.write(`\r\u001b[K${line}`);
        open = true;
      } else if (performance.now() - shownMs >= PLAIN_INTERVAL_MS) {
        shownMs = performance.now();
        stream.write(`${line}\n`);
      }
    },
    end() {
      if (open) stream.write('\r\u001b[K');
    },
  };
}
