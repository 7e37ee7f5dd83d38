import { type ChoiceOption, parseSelector } from '@mesh/agent/selectors';
import type { BuildOptions } from '@mesh/wire';
import { MAX_PRIORITY, MIN_PRIORITY } from '@mesh/wire/priority';
import { usageError } from '../errors.ts';

/** How a build shows itself: chosen by the terminal unless it is said. */
export const LOG_FORMATS = ['auto', 'tree', 'plain', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** The options of `mesh build` as commander hands them over. */
export interface BuildFlags {
  file?: string;
  attr: string[];
  /** `NAME\0VALUE`, see `joinPairs`. */
  arg: string[];
  argstr: string[];
  outLink: string;
  link: boolean;
  printOutPaths?: boolean;
  json?: boolean;
  keepGoing?: boolean;
  printBuildLogs?: boolean;
  dryRun?: boolean;
  on: string[];
  not: string[];
  prefer: string[];
  local?: boolean;
  priority?: string;
  report?: string;
  logFormat: LogFormat;
  verbose?: boolean;
  stateDir?: string;
}

const PAIR_OPTIONS = new Set(['--arg', '--argstr']);
/** No argument of a process can hold it. */
const PAIR_SEPARATOR = '\0';

/**
 * Nix's `--arg NAME VALUE` takes two values, which commander knows nothing of: makes one argument of the three, before
 * parsing. Throws a usage error where one is missing.
 */
export function joinPairs(argv: readonly string[]): string[] {
  const joined: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const option = argv[i]!;
    if (option === '--') return [...joined, ...argv.slice(i)];
    if (!PAIR_OPTIONS.has(option)) {
      joined.push(option);
      continue;
    }
    const [name, value] = [argv[i + 1], argv[i + 2]];
    if (name === undefined || value === undefined) {
      throw usageError(`${option} needs a name and a value: ${option} NAME VALUE.`);
    }
    joined.push(`${option}=${name}${PAIR_SEPARATOR}${value}`);
    i += 2;
  }
  return joined;
}

/** The pairs again, by name; a name given twice keeps its last value, as with Nix. */
export function splitPairs(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf(PAIR_SEPARATOR);
      // `--arg=NAME` instead of `--arg NAME VALUE` never went through joinPairs.
      if (at === -1) throw usageError('Write --arg NAME VALUE and --argstr NAME VALUE.');
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** Options about what to evaluate that make no sense together. Throws a usage error. */
export function checkEvaluationFlags(flags: Pick<BuildFlags, 'file' | 'attr' | 'arg' | 'argstr'>): void {
  if (flags.file === undefined) {
    if (flags.attr.length > 0) throw usageError('-A names an attribute of a file: add -f FILE.');
    if (flags.arg.length + flags.argstr.length > 0) {
      throw usageError('--arg and --argstr are for the function in a file: add -f FILE.');
    }
  }
}

/** Options that make no sense together. Throws a usage error. */
export function checkBuildFlags(flags: BuildFlags): void {
  checkEvaluationFlags(flags);
  if (flags.local && flags.on.length + flags.not.length + flags.prefer.length > 0) {
    throw usageError('--local builds on this machine alone; it goes with none of --on, --not and --prefer.');
  }
  const check = (option: ChoiceOption, texts: readonly string[]) => {
    for (const text of texts) parseSelector(option, text);
  };
  check('--on', flags.on);
  check('--not', flags.not);
  check('--prefer', flags.prefer);
  const both = [...flags.on, ...flags.prefer].find((text) => flags.not.includes(text));
  if (both !== undefined)
    throw usageError(`${both} is in both ${flags.on.includes(both) ? '--on' : '--prefer'} and --not.`);
  if (flags.priority !== undefined) parsePriority(flags.priority);
}

/** What the words mean: a job of high priority gets four times the slots of an ordinary one, one of low a quarter. */
const PRIORITIES = { low: 0.25, normal: 1, high: 4 } as const;

/** The weight of a job against others. Throws a usage error. */
export function parsePriority(text: string): number {
  if (Object.hasOwn(PRIORITIES, text)) return PRIORITIES[text as keyof typeof PRIORITIES];
  const weight = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (weight >= MIN_PRIORITY && weight <= MAX_PRIORITY) return weight;
  throw usageError(
    `--priority ${text} is no priority; write low, normal, high, or a number from ${MIN_PRIORITY} to ${MAX_PRIORITY} (1 is normal).`,
  );
}

/** What of it the agent must know. */
export function agentOptions(flags: BuildFlags): BuildOptions {
  return {
    ...(flags.on.length > 0 ? { on: flags.on } : {}),
    ...(flags.not.length > 0 ? { not: flags.not } : {}),
    ...(flags.prefer.length > 0 ? { prefer: flags.prefer } : {}),
    ...(flags.priority === undefined ? {} : { priority: parsePriority(flags.priority) }),
    local: flags.local ?? false,
    keepGoing: flags.keepGoing ?? false,
    dryRun: flags.dryRun ?? false,
    logs: flags.printBuildLogs ?? false,
  };
}
