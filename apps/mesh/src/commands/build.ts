import { access, constants, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { EarlyEvaluation } from '../build/early-evaluation.ts';
import type { WantedDerivation } from '../build/evaluate.ts';
import { exists, startEvaluation } from '../build/evaluation-start.ts';
import { watchInterrupts } from '../build/interrupts.ts';
import { agentOptions, type BuildFlags, checkBuildFlags } from '../build/options.ts';
import type { BuildResult } from '../build/run-build.ts';
import { CliError, EXIT, usageError } from '../errors.ts';

const STORE_DIR = '/nix/store';

/** `mesh build`: evaluates here, builds on the mesh, links the results here. What is not needed to start Nix is loaded afterwards. */
export async function build(args: readonly string[], flags: BuildFlags): Promise<void> {
  checkBuildFlags(flags);
  const cwd = process.cwd();
  if (flags.report !== undefined) await checkWritable(flags.report);
  const evaluation = await startEvaluation(args, flags, cwd);
  try {
    await carryOut(evaluation, flags, cwd);
  } finally {
    evaluation.cancel();
  }
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
