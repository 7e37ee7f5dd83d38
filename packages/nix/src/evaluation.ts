import { readlink } from 'node:fs/promises';
import { NixError, quote } from './errors.ts';
import { findNix, type RunOptions, runLines, runText } from './nix-process.ts';
import { isDerivationPath } from './store-path.ts';

/** What an evaluation came to: a derivation and the outputs wanted of it. */
export interface WantedDerivation {
  /** Full path of the `.drv`. */
  readonly drvPath: string;
  /** Output names; empty means all. */
  readonly outputs: readonly string[];
}

/** Needed by `nix eval` and `nix copy`; harmless where they are already on. */
export const FLAKE_FEATURES = ['--extra-experimental-features', 'nix-command flakes'];

export interface InstantiateOptions extends RunOptions {
  /** A Nix file, a directory with a `default.nix`, or anything else nix-instantiate takes. */
  readonly file: string;
  /** Attribute paths; none means the whole file. */
  readonly attrs?: readonly string[];
  /** `--arg name expression` */
  readonly args?: Readonly<Record<string, string>>;
  /** `--argstr name text` */
  readonly argstrs?: Readonly<Record<string, string>>;
  /** More options for nix-instantiate, e.g. `['--show-trace']`. */
  readonly extra?: readonly string[];
  /**
   * A link to make to each derivation (a number is put behind it from the second on), registered as a garbage collector root: Nix
   * itself roots what it evaluated only until it ends. Removing the links is the caller's.
   */
  readonly rootLink?: string;
}

/**
 * Evaluates a Nix file; derivations come as nix-instantiate prints them.
 * @throws NixError NIX_MISSING, NIX_EVALUATION_FAILED with Nix's message
 */
export async function* nixInstantiate(options: InstantiateOptions): AsyncGenerator<WantedDerivation> {
  const { nixInstantiate } = await findNix(options.env);
  const attrs = (options.attrs ?? []).flatMap((attr) => ['-A', attr]);
  const args = Object.entries(options.args ?? {}).flatMap(([name, text]) => ['--arg', name, text]);
  const argstrs = Object.entries(options.argstrs ?? {}).flatMap(([name, text]) => ['--argstr', name, text]);
  const roots = options.rootLink === undefined ? [] : ['--add-root', options.rootLink, '--indirect'];
  const all = [options.file, ...attrs, ...args, ...argstrs, ...roots, ...(options.extra ?? [])];
  const failure = evaluationFailure([options.file, ...(options.attrs ?? [])].join(' '));
  for await (const line of runLines(nixInstantiate, all, options, failure)) {
    const [path = '', output = 'out'] = line.split('!');
    // With a root Nix names the link, and where it could make none the derivation.
    const drvPath =
      options.rootLink !== undefined && path.startsWith(options.rootLink) ? await readlink(path) : path;
    yield wanted(drvPath, [output]);
  }
}

/** As `nix build` decides which outputs an installable means (NixOS/nix src/libcmd/installable-flake.cc). */
const DERIVATION_OF = `x: {
  drvPath = x.drvPath;
  outputs =
    if x ? outputSpecified then (if x.outputSpecified then [ x.outputName ] else [ ])
    else x.meta.outputsToInstall or [ ];
}`;

/**
 * Evaluates flake references (`.#hello`, `nixpkgs#curl^dev,man`), one process each, in order. `.drv` paths pass through.
 * @param extra more options for `nix eval`, e.g. `['--impure']`
 * @throws NixError NIX_MISSING, NIX_EVALUATION_FAILED with Nix's message
 */
export async function* flakeDerivations(
  installables: Iterable<string>,
  options: RunOptions & { readonly extra?: readonly string[] } = {},
): AsyncGenerator<WantedDerivation> {
  for (const installable of installables) {
    // Nix 2.8 does not know `^`, so it never gets to see it.
    const [, reference, outputs] = /^(.*?)(?:\^([^^#]*))?$/s.exec(installable)!;
    const chosen =
      outputs === undefined || outputs === '' ? undefined : outputs === '*' ? [] : outputs.split(',');
    if (isDerivationPath(reference!)) {
      yield { drvPath: reference!, outputs: chosen ?? [] };
      continue;
    }
    const found = await evaluate(reference!, options);
    yield { drvPath: found.drvPath, outputs: chosen ?? found.outputs };
  }
}

async function evaluate(
  reference: string,
  options: RunOptions & { readonly extra?: readonly string[] },
): Promise<WantedDerivation> {
  const { nix } = await findNix(options.env);
  const args = ['eval', ...FLAKE_FEATURES, '--json', '--apply', DERIVATION_OF, ...(options.extra ?? [])];
  const json = await runText(nix, [...args, '--', reference], options, evaluationFailure(reference));
  const value: unknown = JSON.parse(json);
  if (typeof value === 'object' && value !== null && 'drvPath' in value && 'outputs' in value) {
    const { drvPath, outputs } = value;
    if (typeof drvPath === 'string' && isStrings(outputs)) {
      return wanted(drvPath, outputs.length === 0 ? ['out'] : outputs);
    }
  }
  throw notADerivation(reference);
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function wanted(drvPath: string, outputs: readonly string[]): WantedDerivation {
  if (!isDerivationPath(drvPath)) throw notADerivation(drvPath);
  return { drvPath, outputs };
}

function notADerivation(what: string): NixError {
  return new NixError(
    'NIX_EVALUATION_FAILED',
    `${quote(what)} is not a derivation: name one that can be built.`,
  );
}

function evaluationFailure(what: string): { code: 'NIX_EVALUATION_FAILED'; sentence: string } {
  return {
    code: 'NIX_EVALUATION_FAILED',
    sentence: `Nix could not evaluate ${quote(what)}: see its message and correct the expression or the attribute.`,
  };
}
