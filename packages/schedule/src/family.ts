/**
 * What of a package's name stays the same from version to version, so that `gcc-14.2.0-lib` tells about `gcc-14.3.0-lib` and
 * `python3.12-numpy-2.1` about `python3.13-numpy-2.2`. Starts from Nix's own rule (`builtins.parseDrvName`: the version begins at the
 * first dash that no letter follows), but keeps words behind the version: `linux-6.12-modules` is not `linux-6.12`.
 */
export function packageFamily(name: string): string {
  const [first = '', ...rest] = name.split('-');
  const words = [withoutInterpreterVersion(first)];
  let versioned = false;
  for (const word of rest) {
    if (startsWithDigit(word)) versioned = true;
    else if (!(versioned && VERSION_WORD.test(word))) words.push(word);
  }
  return words.join('-');
}

/** The family without the language it is packaged for: `python-protobuf` and `protobuf` cost about the same where nothing better is known. */
export function looseFamily(family: string): string {
  const dash = family.indexOf('-');
  if (dash <= 0 || dash === family.length - 1) return family;
  const first = family.slice(0, dash);
  return INTERPRETERS.has(first) || STAGE.test(first) ? family.slice(dash + 1) : family;
}

/** Languages whose packages carry the language, often with its version, as their first word. */
const INTERPRETERS: ReadonlySet<string> = new Set([
  'beam',
  'ecl',
  'elixir',
  'emacs',
  'erlang',
  'ghc',
  'go',
  'guile',
  'haskell',
  'java',
  'julia',
  'lua',
  'luajit',
  'node',
  'ocaml',
  'octave',
  'perl',
  'php',
  'pypy',
  'python',
  'r',
  'ruby',
  'rust',
  'sbcl',
  'texlive',
]);

/** Words that say which of several builds of one package it is. */
const STAGE = /^(?:stage\d+|bootstrap|boot\d*|cross|static)$/;
/** Words behind a version that are part of it: commits, release candidates, snapshots. */
const VERSION_WORD = /^(?:[0-9a-f]{7,40}|rc\d*|alpha\d*|beta\d*|pre\d*|unstable|git|snapshot)$/i;
const INTERPRETER_WORD = /^([a-zA-Z]+)\d[\d.]*$/;

function withoutInterpreterVersion(word: string): string {
  const language = INTERPRETER_WORD.exec(word)?.[1]?.toLowerCase();
  return language !== undefined && INTERPRETERS.has(language) ? language : word;
}

function startsWithDigit(word: string): boolean {
  const code = word.charCodeAt(0);
  return code >= 48 && code <= 57;
}
