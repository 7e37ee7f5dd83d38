import { mkdtempSync, rmSync } from 'node:fs';
import { access, constants, realpath, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type EarlyEvaluation, evaluateEarly } from '../build/early-evaluation.ts';
import { evaluate, type WantedDerivation } from '../build/evaluate.ts';
import { parseInstallables } from '../build/installable.ts';
import { watchInterrupts } from '../build/interrupts.ts';
import { createNixEvaluator } from '../build/nix-evaluator.ts';
import { agentOptions, type BuildFlags, checkBuildFlags, splitPairs } from '../build/options.ts';
import type { BuildResult } from '../build/run-build.ts';
import { CliError, EXIT, usageError } from '../errors.ts';

const STORE_DIR = '/nix/store';

/** `mesh build`: evaluates here, builds on the mesh, links the results here. What is not needed to start Nix is loaded afterwards. */
export async function build(args: readonly string[], flags: BuildFlags): Promise<void> {
  checkBuildFlags(flags);
  const cwd = process.cwd();
  const file = flags.file === undefined ? undefined : await existingFile(flags.file);
  const installables = parseInstallables(await Promise.all(args.map(resolveDrvLink)), {
    file,
    storeDir: STORE_DIR,
    hasFlake: await exists(resolve(cwd, 'flake.nix')),
  });
  const [argExprs, argStrings] = [splitPairs(flags.arg), splitPairs(flags.argstr)];
  if (flags.report !== undefined) await checkWritable(flags.report);
  const rootsDir = file === undefined ? undefined : temporaryDir();
  const evaluation = evaluateEarly(async function* (signal) {
    const roots = rootsDir === undefined ? {} : { rootsDir };
    const evaluator = await createNixEvaluator({ file, args: argExprs, argstrs: argStrings, cwd, ...roots });
    yield* evaluate(installables, evaluator, signal);
  });
  try {
    await carryOut(evaluation, flags, cwd);
  } finally {
    evaluation.cancel();
  }
}

/** A folder that lasts as long as this command, however it ends by itself. */
function temporaryDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'mesh-build-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function carryOut(
  evaluation: EarlyEvaluation<WantedDerivation>,
  flags: BuildFlags,
  cwd: string,
): Promise<void> {
  const [{ chooseRenderer }, { runBuild }, { ownUid, printJson, printOut, runningAgent }] = await Promise.all(
    [import('../build/renderer-choice.ts'), import('../build/run-build.ts'), import('./io.ts')],
  );
  const renderer = chooseRenderer(flags.logFormat, process.stderr, process.env, {
    verbose: flags.verbose ?? false,
    logs: flags.printBuildLogs ?? false,
    dryRun: flags.dryRun ?? false,
  });
  const closeRenderer = () => renderer.close();
  process.once('exit', closeRenderer);
  const interrupts = watchInterrupts(process, (exitCode) => process.exit(exitCode));
  interrupts.signal.addEventListener('abort', () => renderer.note('cancelling this build'), { once: true });
  const surroundings = {
    uid: ownUid(),
    env: process.env,
    stateDir: flags.stateDir,
    warn: (message: string) => renderer.note(`warning: ${message}`),
  };
  let results: BuildResult[];
  try {
    results = await runBuild({
      evaluate: (signal) => evaluation.items(signal),
      ports: {
        running: runningAgent(flags),
        startOwn: async () => (await import('../build/own-agent.ts')).startOwnAgent(surroundings),
        onOwn: () =>
          renderer.note(
            'no agent is running on this machine; this build brings its own (`mesh agent` starts one)',
          ),
      },
      options: agentOptions(flags),
      renderer,
      interrupts,
      async onFinished({ report }) {
        if (flags.report !== undefined)
          await writeFile(flags.report, `${JSON.stringify(report, undefined, 2)}\n`);
      },
    });
  } finally {
    interrupts.stop();
    process.off('exit', closeRenderer);
    renderer.close();
  }
  if (flags.link && !flags.dryRun) await linkResults(resolve(cwd, flags.outLink), results);
  if (flags.json) {
    printJson(results.map(({ drvPath, outputs }) => ({ drvPath, outputs: Object.fromEntries(outputs) })));
  } else if (flags.printOutPaths) {
    for (const { outputs } of results) for (const path of outputs.values()) printOut(path);
  }
}

async function linkResults(outLink: string, results: readonly BuildResult[]): Promise<void> {
  const { replaceLink, resultLinks } = await import('../build/result-links.ts');
  const links = resultLinks(
    outLink,
    results.map(({ outputs }) => outputs),
  );
  if (links.length === 0) return;
  const { DaemonClient } = await import('@mesh/nix/daemon');
  const daemon = await DaemonClient.connect({});
  try {
    for (const { link, target } of links) {
      await replaceLink(link, target, STORE_DIR);
      await daemon.addIndirectRoot(link);
    }
  } finally {
    daemon.close();
  }
}

/** A link to a `.drv` (`result.drv`, as `nix-instantiate --add-root` makes) stands for the derivation. */
async function resolveDrvLink(arg: string): Promise<string> {
  const match = /^([./].*\.drv)(\^.*)?$/.exec(arg);
  if (match === null || arg.startsWith(`${STORE_DIR}/`)) return arg;
  if (!(await exists(match[1]!))) {
    throw new CliError('MESH_NO_SUCH_FILE', EXIT.failure, `${match[1]} does not exist.`);
  }
  return (await realpath(match[1]!)) + (match[2] ?? '');
}

/** Nix's own look-up paths (`<nixpkgs>`) and addresses are Nix's business; a file must be there. */
async function existingFile(file: string): Promise<string> {
  if (/^<.*>$/.test(file) || /^[a-z]+:/.test(file) || file === '-') return file;
  const path = resolve(file);
  if (await exists(path)) return path;
  throw new CliError('MESH_NO_SUCH_FILE', EXIT.failure, `-f ${file}: this file does not exist.`);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    // The two ways of not being there; anything else is worth its own words.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw error;
  }
}

/** Before the build, because an hour of building should not end at a report that cannot be written. */
async function checkWritable(report: string): Promise<void> {
  try {
    const isThere = await exists(report);
    if (isThere && (await stat(report)).isDirectory())
      throw usageError(`--report ${report}: this is a directory.`);
    await access(isThere ? report : dirname(resolve(report)), constants.W_OK);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(
      'MESH_REPORT_UNWRITABLE',
      EXIT.failure,
      `--report ${report}: this file cannot be written.`,
      {
        cause: error,
      },
    );
  }
}
