import type { MachineTerm } from '@mesh/schedule';
import { AgentError } from '../errors.ts';

/** One condition as it was written: names are not looked up yet, and `home` is the machine where the job is submitted. */
export type WrittenTerm = Exclude<MachineTerm, { type: 'peer' }> | { readonly type: 'home' };

/** Machines that meet all of these terms. */
export interface WrittenSelector {
  readonly text: string;
  readonly terms: readonly WrittenTerm[];
}

export type ChoiceOption = '--on' | '--not' | '--prefer';

/** What can be asked of a machine, with an example of a value. */
const WORDS = { system: 'aarch64-linux', feature: 'kvm', tag: 'rack1' } as const;
const FIGURES = { cores: '16', memory: '32G', speed: '1.5' } as const;
type Word = keyof typeof WORDS;
type Figure = keyof typeof FIGURES;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
/** Nothing that has a meaning on a command line of ours. */
const WORD_VALUE = /^[^\s,+=<>]{1,128}$/;
const CONDITION = /^([^=<>:]*)([=<>:]+)(.*)$/;

/**
 * Reads one choice of machines: `NAME`, `home`, `system=…`, `feature=…`, `tag=…`, `cores>=16`, `memory>=32G`, `speed>=1.5`, or several of
 * them joined by `+`, all of which a machine must meet.
 * @throws AgentError BUILD_BAD_SELECTOR: a sentence with the nearest right form
 */
export function parseSelector(option: ChoiceOption, text: string): WrittenSelector {
  const parts = text.split('+').map((part) => part.trim());
  if (parts.includes('')) {
    throw bad(
      option,
      text,
      'names no machine; give a name that `mesh peers` lists, or a condition like tag=rack1',
    );
  }
  return { text: parts.join('+'), terms: parts.map((part) => parseTerm(option, part)) };
}

/** Whether this is what is left of `cores>=16` when a shell has taken the rest for a redirection. */
export function isBareFigure(name: string): boolean {
  return isFigure(name);
}

function parseTerm(option: ChoiceOption, text: string): WrittenTerm {
  if (text === 'home') return { type: 'home' };
  const [, before, operator, after] = CONDITION.exec(text) ?? [];
  if (before === undefined || operator === undefined || after === undefined) {
    if (NAME.test(text)) return { type: 'name', value: text };
    throw bad(option, text, 'is neither the name of a machine nor a condition like tag=rack1 or cores>=16');
  }
  const [key, value] = [before.trim(), after.trim()];
  const word = isWord(key) ? key : undefined;
  if (word !== undefined && operator === '=' && WORD_VALUE.test(value)) return { type: word, value };
  const figure = isFigure(key) ? key : undefined;
  const atLeast = figure === undefined ? undefined : parseFigure(figure, value);
  if (figure !== undefined && operator === '>=' && atLeast !== undefined) return { type: figure, atLeast };
  const nearest = nearestKey(key);
  if (nearest === undefined) {
    throw bad(
      option,
      text,
      `asks for ${key === '' ? 'nothing' : key}, which machines do not have; they have ${Object.keys(WORDS).join(', ')}, ${Object.keys(FIGURES).join(', ')} and names`,
    );
  }
  throw bad(option, text, `is no condition; write ${rightForm(nearest, value)}`);
}

/** The condition as it should have been, with the value that was given where that is one. */
function rightForm(key: Word | Figure, value: string): string {
  if (isWord(key)) return `${key}=${WORD_VALUE.test(value) ? value : WORDS[key]}`;
  return `'${key}>=${parseFigure(key, value) === undefined ? FIGURES[key] : value}'`;
}

function parseFigure(figure: Figure, value: string): number | undefined {
  if (figure === 'memory') return parseBytes(value);
  const pattern = figure === 'cores' ? /^\d{1,6}$/ : /^\d{1,6}(\.\d{1,6})?$/;
  return pattern.test(value) ? Number(value) : undefined;
}

const POWERS = { '': 0, K: 1, M: 2, G: 3, T: 4 } as const;

/**
 * `32G`, `32GB`, `0.5T`: powers of 1000, so that a machine sold with 32 GB has `32G` even though its kernel keeps some of it; `32GiB`:
 * powers of 1024.
 */
function parseBytes(value: string): number | undefined {
  const [, amount, unit = '', suffix = ''] = /^(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)(i?B)?$/i.exec(value) ?? [];
  if (amount === undefined) return undefined;
  const base = suffix.toLowerCase() === 'ib' ? 1024 : 1000;
  return Number(amount) * base ** POWERS[unit.toUpperCase() as keyof typeof POWERS];
}

/** The key that was meant, if it is not far from what was written. */
function nearestKey(written: string): Word | Figure | undefined {
  const keys = [...Object.keys(WORDS), ...Object.keys(FIGURES)] as (Word | Figure)[];
  const abbreviated = keys.find((key) => written.length >= 3 && key.startsWith(written.toLowerCase()));
  if (abbreviated !== undefined) return abbreviated;
  const distances = keys.map((key) => ({ key, distance: editDistance(written.toLowerCase(), key) }));
  const nearest = distances.reduce((a, b) => (b.distance < a.distance ? b : a));
  return nearest.distance <= Math.min(2, nearest.key.length - 1) ? nearest.key : undefined;
}

/** Levenshtein's: characters to put in, take out or change. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= Math.min(a.length, 64); i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

function isWord(key: string): key is Word {
  return Object.hasOwn(WORDS, key);
}

function isFigure(key: string): key is Figure {
  return Object.hasOwn(FIGURES, key);
}

function bad(option: ChoiceOption, text: string, what: string): AgentError {
  return new AgentError('BUILD_BAD_SELECTOR', `${option} ${text === '' ? "''" : text} ${what}.`, {
    exitCode: 2,
  });
}
