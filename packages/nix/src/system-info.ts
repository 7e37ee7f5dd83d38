import { NixError } from './errors.ts';
import { FLAKE_FEATURES } from './evaluation.ts';
import { findNix, type RunOptions, runText } from './nix-process.ts';

/** What this machine's Nix is and how it is set up (nix.conf as Nix itself reads it). */
export interface NixSystemInfo {
  /** e.g. `2.26.3` */
  readonly version: string;
  readonly system: string;
  readonly extraPlatforms: readonly string[];
  readonly systemFeatures: readonly string[];
  /** Builds at once. */
  readonly maxJobs: number;
  /** Cores a build is told to use; 0 is all. */
  readonly cores: number;
  /** Seconds without output after which a build is stopped; 0 is never. */
  readonly maxSilentTimeSeconds: number;
  /** Seconds after which a build is stopped; 0 is never. */
  readonly timeoutSeconds: number;
  readonly sandbox: boolean | 'relaxed';
  readonly trustedUsers: readonly string[];
  readonly allowedUsers: readonly string[];
  readonly substituters: readonly string[];
  /** `name:base64` each: whose signatures this Nix takes. */
  readonly trustedPublicKeys: readonly string[];
  /** Free space below which a daemon collects garbage by itself; 0 is never. */
  readonly minFreeBytes: number;
  /** The `builders` setting as it is written: machines, `@FILE`s. */
  readonly builders: string;
  /** Whether builders fetch from their own substituters what they lack. */
  readonly buildersUseSubstitutes: boolean;
}

/** The oldest Nix with daemon protocol 1.34. */
const OLDEST = [2, 8] as const;

/**
 * The version of the installed Nix.
 * @throws NixError NIX_MISSING, NIX_TOO_OLD, NIX_COMMAND_FAILED
 */
export async function nixVersion(options: RunOptions = {}): Promise<string> {
  const { nix } = await findNix(options.env);
  const line = await runText(nix, ['--version'], options, {
    code: 'NIX_COMMAND_FAILED',
    sentence: 'The installed Nix does not tell its version: check its installation.',
  });
  return checkedVersion(line);
}

/**
 * The version in a line like `nix (Nix) 2.26.3`; Lix prints `nix (Lix, like Nix) 2.94.0`.
 * @throws NixError NIX_TOO_OLD, NIX_COMMAND_FAILED where there is none
 */
export function checkedVersion(line: string): string {
  const [version, major, minor] = /(\d+)\.(\d+)\S*/.exec(line) ?? [];
  if (version === undefined) {
    throw new NixError(
      'NIX_COMMAND_FAILED',
      'The installed Nix does not tell its version: check its installation.',
    );
  }
  const older = Number(major) < OLDEST[0] || (Number(major) === OLDEST[0] && Number(minor) < OLDEST[1]);
  if (older) {
    throw new NixError('NIX_TOO_OLD', `Nix ${version} is too old: upgrade to ${OLDEST.join('.')} or newer.`);
  }
  return version;
}

/**
 * Reads the configuration as Nix itself does.
 * @throws NixError NIX_MISSING, NIX_TOO_OLD, NIX_COMMAND_FAILED
 */
export async function systemInfo(options: RunOptions = {}): Promise<NixSystemInfo> {
  const version = await nixVersion(options);
  return systemInfoOf(version, JSON.parse(await showConfig(options)));
}

/** `nix config show` came with 2.20 and replaces `show-config`, which some versions only warn about. */
async function showConfig(options: RunOptions): Promise<string> {
  const { nix } = await findNix(options.env);
  const show = (...command: string[]): Promise<string> =>
    runText(nix, [...command, '--json', ...FLAKE_FEATURES], options, {
      code: 'NIX_COMMAND_FAILED',
      sentence: 'Nix could not show its configuration: see its message, and check nix.conf.',
    });
  try {
    return await show('config', 'show');
  } catch (error) {
    // An older Nix does not know the command; if the cause is another one, the older command tells it too.
    if (error instanceof NixError && error.code === 'NIX_COMMAND_FAILED') return show('show-config');
    throw error;
  }
}

/**
 * Experimental features that derivations ask for as system features: Nix takes them for offered where they are switched on, without
 * showing them (StoreConfig::getDefaultSystemFeatures).
 */
const BUILDING_FEATURES: ReadonlySet<unknown> = new Set(['ca-derivations', 'recursive-nix']);

/** Nix 2.8 shows numbers in place of names (`enum struct ExperimentalFeature` of its src/libutil/experimental-features.hh). */
const FEATURE_NUMBERS: ReadonlyMap<unknown, string> = new Map([
  [0, 'ca-derivations'],
  [4, 'recursive-nix'],
]);

/** Picks the facts out of `nix config show --json`. */
export function systemInfoOf(version: string, config: unknown): NixSystemInfo {
  const settings = new Map(Object.entries(config ?? {}));
  const value = (name: string): unknown => (settings.get(name) as { value?: unknown } | undefined)?.value;
  const items = (name: string): unknown[] => {
    const found = value(name);
    return Array.isArray(found) ? found : [];
  };
  const list = (name: string): string[] =>
    items(name)
      .filter((item) => typeof item === 'string')
      .sort();
  const number = (name: string, otherwise: number): number => {
    const found = value(name);
    return typeof found === 'number' ? found : otherwise;
  };
  const system = value('system');
  if (typeof system !== 'string' || system === '') {
    throw new NixError('NIX_COMMAND_FAILED', 'Nix does not tell what system this is: check nix.conf.');
  }
  const sandbox = value('sandbox');
  const builders = value('builders');
  const features = items('experimental-features')
    .map((item) => FEATURE_NUMBERS.get(item) ?? item)
    .filter((item): item is string => BUILDING_FEATURES.has(item));
  return {
    version,
    system,
    extraPlatforms: list('extra-platforms'),
    systemFeatures: [...new Set([...list('system-features'), ...features])].sort(),
    maxJobs: number('max-jobs', 1),
    cores: number('cores', 0),
    maxSilentTimeSeconds: number('max-silent-time', 0),
    timeoutSeconds: number('timeout', 0),
    sandbox: sandbox === 'relaxed' ? 'relaxed' : sandbox === true || sandbox === 'true',
    trustedUsers: list('trusted-users'),
    allowedUsers: list('allowed-users'),
    substituters: list('substituters'),
    trustedPublicKeys: list('trusted-public-keys'),
    minFreeBytes: number('min-free', 0),
    builders: typeof builders === 'string' ? builders : '',
    buildersUseSubstitutes: value('builders-use-substitutes') === true,
  };
}
