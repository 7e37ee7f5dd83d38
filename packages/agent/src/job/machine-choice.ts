import {
  type JobOptions,
  LOCAL,
  type MachineSelector,
  type MachineTerm,
  machine,
  selects,
  type WorkerInfo,
} from '@mesh/schedule';
import type { BuildOptions } from '@mesh/wire';
import { AgentError } from '../errors.ts';
import { type ChoiceOption, isBareFigure, parseSelector, type WrittenTerm } from './selector-syntax.ts';

/** A machine as far as names go. */
interface Named {
  readonly peerId: string;
  readonly name: string;
  readonly self: boolean;
}

/** Which machines may build for a job, and which should. */
export type MachineChoice = Pick<JobOptions, 'only' | 'not' | 'prefer'>;

/**
 * Reads the machines out of a build's options. Names are looked up now; everything else a machine may come to be while the job runs.
 * @throws AgentError BUILD_BAD_SELECTOR, BUILD_UNKNOWN_MACHINE
 */
export function chooseMachines(options: BuildOptions, members: readonly Named[]): MachineChoice {
  const read = (option: ChoiceOption, texts: readonly string[] | undefined) =>
    texts?.flatMap((text) => resolveSelector(option, text, members));
  const self = members.find((member) => member.self);
  const only = options.local && self !== undefined ? [machine(self.peerId, LOCAL)] : read('--on', options.on);
  const not = read('--not', options.not);
  const prefer = read('--prefer', options.prefer);
  return { ...(only && { only }), ...(not && { not }), ...(prefer && { prefer }) };
}

/** Whether a build leaves out machines, whatever they are: then it is refused rather than begun where they were needed. */
export function isExplicit(options: BuildOptions): boolean {
  return options.local || options.on !== undefined || options.not !== undefined;
}

/** What of a choice no connected machine is at the moment, as notes for whoever builds; one that joins is taken all the same. */
export function unmatched(choice: MachineChoice, workers: Iterable<WorkerInfo>): string[] {
  const machines = [...workers];
  const dead = (option: string, selectors: readonly MachineSelector[] = []) => {
    const alive = new Set(
      selectors.filter((each) => machines.some((worker) => selects(each, worker))).map(({ text }) => text),
    );
    const texts = new Set(selectors.map(({ text }) => text).filter((text) => !alive.has(text)));
    return [...texts].map((text) => `${option} ${text}: no connected machine is that at the moment.`);
  };
  return [...dead('--on', choice.only), ...dead('--prefer', choice.prefer)];
}

/** One selector for each combination of machines that bear the names in it: two machines may be called the same. */
function resolveSelector(option: ChoiceOption, text: string, members: readonly Named[]): MachineSelector[] {
  const written = parseSelector(option, text);
  let combinations: MachineTerm[][] = [[]];
  for (const term of written.terms) {
    const meanings = meaningsOf(option, term, members);
    combinations = combinations.flatMap((terms) => meanings.map((meaning) => [...terms, meaning]));
  }
  return combinations.map((terms) => ({ text: written.text, terms }));
}

function meaningsOf(option: ChoiceOption, term: WrittenTerm, members: readonly Named[]): MachineTerm[] {
  if (term.type !== 'name' && term.type !== 'home') return [term];
  const name = term.type === 'home' ? 'home' : term.value;
  const found = members.filter((member) => member.name === name || member.peerId === name);
  // Unless some machine is called that, `home` is this one.
  if (found.length === 0 && term.type === 'home') found.push(...members.filter((member) => member.self));
  if (found.length === 0) throw unknownMachine(option, name, members);
  return found.map((member) => ({ type: 'peer', peerId: member.peerId }));
}

function unknownMachine(option: ChoiceOption, name: string, members: readonly Named[]): AgentError {
  const names = [...new Set(members.map((member) => member.name))].join(', ');
  const sentence = isBareFigure(name)
    ? `${option} ${name} is no condition by itself; quote it, or the shell takes the rest for a redirection: ${option} '${name}>=…'.`
    : `No machine of this mesh is called ${name}; there are ${names}.`;
  return new AgentError('BUILD_UNKNOWN_MACHINE', sentence, { exitCode: 2 });
}
