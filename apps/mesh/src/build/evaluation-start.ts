import { mkdtempSync, rmSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CliError, EXIT } from '../errors.ts';
import { type EarlyEvaluation, evaluateEarly } from './early-evaluation.ts';
import { evaluate, type WantedDerivation } from './evaluate.ts';
import { parseInstallables } from './installable.ts';
import { createNixEvaluator } from './nix-evaluator.ts';
import { type BuildFlags, splitPairs } from './options.ts';

const STORE_DIR = '/nix/store';

/**
 * Starts to evaluate what the arguments name, as `nix build` reads them.
 * @throws CliError MESH_USAGE, MESH_NO_SUCH_FILE
 */
export async function startEvaluation(
  args: readonly string[],
  flags: Pick<BuildFlags, 'file' | 'arg' | 'argstr'>,
  cwd: string,
): Promise<EarlyEvaluation<WantedDerivation>> {
  const file = flags.file === undefined ? undefined : await existingFile(flags.file);
  const installables = parseInstallables(await Promise.all(args.map(resolveDrvLink)), {
    file,
    storeDir: STORE_DIR,
    hasFlake: await exists(resolve(cwd, 'flake.nix')),
  });
  const [argExprs, argStrings] = [splitPairs(flags.arg), splitPairs(flags.argstr)];
  const rootsDir = file === undefined ? undefined : temporaryDir();
  return evaluateEarly(async function* (signal) {
    const roots = rootsDir === undefined ? {} : { rootsDir };
    const evaluator = await createNixEvaluator({ file, args: argExprs, argstrs: argStrings, cwd, ...roots });
    yield* evaluate(installables, evaluator, signal);
  });
}

/** A folder that lasts as long as this command, however it ends by itself. */
function temporaryDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'mesh-build-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  return dir;
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

/** Whether there is anything of this name. */
export async function exists(path: string): Promise<boolean> {
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
