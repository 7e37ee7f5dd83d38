import { FLAKE_FEATURES } from './evaluation.ts';
import { findNix, type RunOptions, runText } from './nix-process.ts';

export interface CopyOptions extends RunOptions {
  /** Store URL, e.g. `http://127.0.0.1:1234`; default: this machine's store. */
  readonly from?: string;
  readonly to?: string;
  /** Store paths; their closures are copied with them unless `recursive` is false. */
  readonly paths: readonly string[];
  readonly recursive?: boolean;
  /** Take paths without a trusted signature; needs a trusted user. */
  readonly noCheckSigs?: boolean;
  /** Settings for this command only, e.g. `{ 'narinfo-cache-negative-ttl': '0' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Arguments are limited to 128 KiB on Linux in the worst case; a store path is at most 255 bytes. */
const MAX_PATHS_A_COMMAND = 400;

/**
 * Copies closures between stores with `nix copy`.
 * @throws NixError NIX_MISSING, NIX_COMMAND_FAILED with Nix's message
 */
export async function nixCopy(options: CopyOptions): Promise<void> {
  const { nix } = await findNix(options.env);
  const settings = Object.entries(options.settings ?? {}).flatMap(([name, value]) => [
    '--option',
    name,
    value,
  ]);
  const args = [
    'copy',
    ...FLAKE_FEATURES,
    ...settings,
    ...(options.from === undefined ? [] : ['--from', options.from]),
    ...(options.to === undefined ? [] : ['--to', options.to]),
    ...(options.recursive === false ? ['--no-recursive'] : []),
    ...(options.noCheckSigs === true ? ['--no-check-sigs'] : []),
  ];
  for (let from = 0; from < options.paths.length; from += MAX_PATHS_A_COMMAND) {
    const batch = options.paths.slice(from, from + MAX_PATHS_A_COMMAND);
    await runText(nix, [...args, '--', ...batch], options, {
      code: 'NIX_COMMAND_FAILED',
      sentence: 'Nix could not copy the store paths: see its message.',
    });
  }
}
