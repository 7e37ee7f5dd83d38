import { COLD_LANDMARKS, COLD_LANGUAGES, COLD_SHAPE } from './cold-start-table.ts';
import { packageFamily } from './family.ts';

/** What can be seen of a derivation before it was ever built. */
export interface DerivationShape {
  /** Derivations it needs directly. */
  readonly inputs?: number | undefined;
  /** How many of those every package of this collection has (compiler, shell, source); absent: as in nixpkgs. */
  readonly usualInputs?: number | undefined;
  /** `preferLocalBuild`, or a builtin builder: its author says that it is not worth sending anywhere. */
  readonly local?: boolean | undefined;
  /** Fixed-output: a download. */
  readonly download?: boolean | undefined;
}

/** A guess about a build nobody has seen: `deviation` is that of the logarithm. */
export interface ColdGuess {
  /** Seconds of one core of an ordinary machine, in milliseconds. */
  readonly medianMs: number;
  readonly deviation: number;
}

/** Texts, wrappers and links: written by one short command. */
const CRUMB: ColdGuess = { medianMs: 100, deviation: 1 };
/** Most sources are small, and the mesh does not send downloads anywhere. */
const DOWNLOAD: ColdGuess = { medianMs: 250, deviation: 1.5 };
/** Sources unpacked, patched and packed again. */
const ARCHIVE: ColdGuess = { medianMs: 1_400, deviation: 0.3 };
/** Documentation and translations, where they are a derivation of their own. */
const DOCUMENTATION: ColdGuess = { medianMs: 6_000, deviation: 1.3 };

/** stdenv, bash, the source and a set-up hook. */
const USUAL_INPUTS = 4;
/** Graphs hardly say more beyond this. */
const MOST_EXTRA_INPUTS = 100;

const CRUMB_FILE =
  /\.(?:sh|json|conf|patch|diff|service|socket|timer|target|mount|slice|desktop|nix|txt|xml|toml|ya?ml|ini|cfg|rules|pem|el|lua|vim|css|keys|hook)$/;
const CRUMB_WORD =
  /(?:^|-)(?:wrapper|wrapped|hook|env|script|unit|units|profile|etc|links|manifest|paths|builder|system-path|reference-graph|closure-info)$/;
const ARCHIVE_FILE =
  /(?:\.tar(?:\.[a-z0-9]+)?|\.tgz|\.zip|\.crate|\.gem|\.jar|\.whl|-checkout|-source|^source|-vendor|-vendor-staging)$/;
const DOCUMENTATION_WORD = /-(?:doc|docs|man|info|html|documentation|locales|i18n)$/;
/** nixpkgs builds some large packages under such a name, and wraps them under the plain one. */
const VARIANT = /-unwrapped$/;
/** Numbers that generated graphs give their nodes, and which of several builds of one package it is. */
const LABEL = /^(?:n\d+|stage\d+|bootstrap|boot\d*|cross|static)-/;

/** What a name alone says of a build: a guess, or that its inputs must be looked at. */
export type ColdKind = ColdGuess | 'ordinary';

/**
 * How long a build takes that nothing is known of but its name and shape. In this order: what writes no more than a text or a link;
 * packages everybody knows to be large; the language a package is of; the number of its inputs. Figures and their errors:
 * `cold-start-table.ts`.
 */
export function coldStart(name: string, shape?: DerivationShape): ColdGuess {
  return coldGuess(coldKind(name), shape);
}

/** The half of {@link coldStart} that reads the name; worth keeping, of names that come again. */
export function coldKind(name: string): ColdKind {
  const plain = name.replace(LABEL, '');
  if (CRUMB_FILE.test(plain)) return CRUMB;
  if (ARCHIVE_FILE.test(plain)) return ARCHIVE;
  const family = packageFamily(plain).replace(VARIANT, '');
  if (CRUMB_WORD.test(family)) return CRUMB;
  const landmark = LANDMARKS.get(family);
  if (landmark !== undefined) return landmark;
  if (DOCUMENTATION_WORD.test(family)) return DOCUMENTATION;
  const language = family.includes('-') ? LANGUAGES.get(family.slice(0, family.indexOf('-'))) : undefined;
  return language ?? 'ordinary';
}

/** The half of {@link coldStart} that looks at the derivation. */
export function coldGuess(kind: ColdKind, shape: DerivationShape = {}): ColdGuess {
  if (shape.download === true) return DOWNLOAD;
  if (shape.local === true) return CRUMB;
  if (kind !== 'ordinary') return kind;
  const extra = Math.min(
    MOST_EXTRA_INPUTS,
    Math.max(0, (shape.inputs ?? 0) - (shape.usualInputs ?? USUAL_INPUTS)),
  );
  return {
    medianMs: 1_000 * Math.exp(COLD_SHAPE.intercept + COLD_SHAPE.slope * Math.log1p(extra)),
    deviation: COLD_SHAPE.deviation,
  };
}

const LANGUAGES: ReadonlyMap<string, ColdGuess> = new Map(
  Object.entries(COLD_LANGUAGES).map(([language, [seconds, deviation]]) => [
    language,
    { medianMs: seconds * 1_000, deviation },
  ]),
);

const LANDMARKS: ReadonlyMap<string, ColdGuess> = new Map(
  COLD_LANDMARKS.flatMap(({ seconds, names }) => {
    const guess = { medianMs: seconds * 1_000, deviation: COLD_SHAPE.landmarkDeviation };
    return names.split(' ').map((name) => [name, guess] as const);
  }),
);
