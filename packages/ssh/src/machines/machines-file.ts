import { SshError } from '../errors.ts';
import { parsePinnedHostKey } from '../known-hosts.ts';
import { type BuilderUri, parseBuilderUri } from './builder-uri.ts';

/** A machine of Nix's `builders`. */
export interface BuilderMachine {
  readonly uri: BuilderUri;
  /** Empty: this machine's own system. */
  readonly systems: readonly string[];
  /** Private key file to log in with. */
  readonly identityFile?: string;
  /** Builds at once; 0 is never used. */
  readonly maxJobs: number;
  /** Relative to other machines; 1 is ordinary. */
  readonly speedFactor: number;
  readonly supportedFeatures: readonly string[];
  /** It is for derivations that require all of these. */
  readonly mandatoryFeatures: readonly string[];
  /** The only host key that will do; see {@link parsePinnedHostKey}. */
  readonly hostKey?: string;
  /** Where it is written: file and line, or a line of the setting. */
  readonly place: string;
}

/** A line that is wrong. */
export interface MachineTrouble {
  /** File and line. */
  readonly place: string;
  /** One sentence: what is wrong and what to do. */
  readonly message: string;
}

export interface Machines {
  readonly machines: readonly BuilderMachine[];
  readonly troubles: readonly MachineTrouble[];
}

/** The text of a file; undefined where there is none. @throws any other trouble */
export type ReadText = (path: string) => string | undefined;

/** Lines of all files together, and files inside each other: more are a mistake. */
const MAX_MACHINES = 10_000;
const MAX_INCLUDES = 16;

/**
 * Reads Nix's `builders` setting: machines separated by newlines or `;`, `#` to the line's end a comment, `@FILE` the machines of a
 * file, which may include others; one that is not there has none. A wrong line is told of, and the others count.
 * Source: NixOS/nix src/libstore/machines.cc.
 * @param source what messages call the setting
 */
export function parseMachines(builders: string, read: ReadText, source = 'builders'): Machines {
  const machines: BuilderMachine[] = [];
  const troubles: MachineTrouble[] = [];
  const take = (text: string, file: string, within: readonly string[]): void => {
    for (const [index, wholeLine] of text.split('\n').entries()) {
      const place = `${file}:${index + 1}`;
      for (const entry of wholeLine
        .replace(/#.*/, '')
        .split(';')
        .map((part) => part.trim())) {
        if (entry === '') continue;
        if (machines.length + troubles.length >= MAX_MACHINES) return;
        try {
          if (entry.startsWith('@')) include(entry.slice(1).trim(), place, within);
          else machines.push(parseMachine(entry, place));
        } catch (error) {
          if (!(error instanceof SshError)) throw error;
          troubles.push({ place, message: `${place}: ${error.message}` });
        }
      }
    }
  };
  const include = (path: string, place: string, within: readonly string[]): void => {
    if (within.includes(path) || within.length >= MAX_INCLUDES)
      throw bad(`${path} includes itself: remove this @ line.`);
    let text: string | undefined;
    try {
      text = read(path);
    } catch (cause) {
      throw bad(`${path} cannot be read (${(cause as Error).message}): mend its rights or remove ${place}.`);
    }
    if (text !== undefined) take(text, path, [...within, path]);
  };
  take(builders, source, []);
  return { machines, troubles };
}

const FIELDS = 8;

/** @throws SshError SSH_BAD_CONFIG, SSH_BAD_TARGET */
function parseMachine(line: string, place: string): BuilderMachine {
  const fields = line.split(/\s+/);
  if (fields.length > FIELDS)
    throw bad(`the machine has ${fields.length} fields, and there are ${FIELDS}: separate lists by commas.`);
  const field = (index: number): string | undefined => {
    const text = fields[index];
    return text === undefined || text === '-' || text === '' ? undefined : text;
  };
  const list = (index: number): string[] =>
    field(index)
      ?.split(',')
      .filter((item) => item !== '') ?? [];
  const uri = parseBuilderUri(fields[0]!);
  const identityFile = field(2) ?? uri.identityFile;
  const hostKey = field(7) ?? uri.hostKey;
  if (hostKey !== undefined) parsePinnedHostKey(hostKey);
  return {
    uri,
    systems: list(1),
    ...(identityFile === undefined ? {} : { identityFile }),
    maxJobs: jobsOf(field(3)),
    speedFactor: speedOf(field(4)),
    supportedFeatures: list(5),
    mandatoryFeatures: list(6),
    ...(hostKey === undefined ? {} : { hostKey }),
    place,
  };
}

function jobsOf(text: string | undefined): number {
  if (text === undefined) return 1;
  const jobs = Number(text);
  if (!/^\d+$/.test(text) || jobs > 100_000)
    throw bad(`the fourth field (builds at once) is ${JSON.stringify(text)}: write a whole number.`);
  return jobs;
}

/** Nix 2.8 takes whole numbers alone, later ones any; 0 is 1 for both. */
function speedOf(text: string | undefined): number {
  if (text === undefined) return 1;
  const speed = Number(text);
  if (!/^\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) || !Number.isFinite(speed) || speed > 1e6)
    throw bad(`the fifth field (speed factor) is ${JSON.stringify(text)}: write a number of 0 or more.`);
  return speed === 0 ? 1 : speed;
}

function bad(message: string): SshError {
  return new SshError('SSH_BAD_CONFIG', message);
}
