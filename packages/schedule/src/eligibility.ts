import { LOCAL, selects } from './machine-selector.ts';
import type { JobOptions, MachineSelector, PeerId, Place, WorkerInfo } from './types.ts';

/** What a derivation asks of a machine, and which machines the jobs that want it leave. */
export interface Need {
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  readonly place: Place;
  /** One for each different wish among its jobs: a machine that suits one of them will do. */
  readonly policies: readonly Pick<JobOptions, 'only' | 'not' | 'prefer'>[];
  /** Workers that failed it as machines. */
  readonly avoid: ReadonlySet<PeerId>;
  /** The last try before it fails for good. */
  readonly lastTry: boolean;
}

/** Has the system and all the features, and is not kept for derivations that need more. */
export function offers(worker: WorkerInfo, need: Pick<Need, 'system' | 'requiredFeatures'>): boolean {
  if (need.system !== 'builtin' && !worker.systems.includes(need.system)) return false;
  const mandatory = worker.mandatoryFeatures ?? [];
  if (!mandatory.every((feature) => need.requiredFeatures.includes(feature))) return false;
  return need.requiredFeatures.every(
    (feature) => worker.features.includes(feature) || mandatory.includes(feature),
  );
}

export function allows(policy: Pick<JobOptions, 'only' | 'not'>, worker: WorkerInfo): boolean {
  const among = (selectors: JobOptions['only']) => selectors?.some((selector) => selects(selector, worker));
  return (among(policy.only) ?? true) && !(among(policy.not) ?? false);
}

function isHomeOnly(place: Place): boolean {
  return place === 'home' || place === 'substitute';
}

/** Whether the jobs that want it, and its own nature, let this worker have it. */
function permits(need: Pick<Need, 'place' | 'policies'>, worker: WorkerInfo): boolean {
  if (isHomeOnly(need.place) && !worker.isHome) return false;
  return need.place === 'substitute' || need.policies.some((policy) => allows(policy, worker));
}

/**
 * The workers that may get it now. Pinned and last-try work goes to the home's own worker where that can; a machine
 * that failed it gets it again only when nobody else is left, and then the home's own first.
 */
export function eligible<W extends { readonly info: WorkerInfo }>(need: Need, workers: Iterable<W>): W[] {
  const able: W[] = [];
  for (const worker of workers) {
    const { info } = worker;
    if (info.slots > 0 && offers(info, need) && permits(need, info)) able.push(worker);
  }
  const fresh = able.filter((worker) => !need.avoid.has(worker.info.peerId));
  if (need.place === 'prefer-home' || need.lastTry || fresh.length === 0) {
    const home = (fresh.length === 0 ? able : fresh).find((worker) => worker.info.isHome);
    if (home !== undefined) return [home];
  }
  return fresh.length === 0 ? able : fresh;
}

/** Machines named in a sentence; the rest is counted. */
const NAMED_MACHINES = 8;

/**
 * Why nobody can: what it needs, what each machine offers, and what keeps those that could from it. `others` says of further machines
 * why they are none of the workers.
 */
export function whyImpossible(
  name: string,
  need: Pick<Need, 'system' | 'requiredFeatures' | 'place' | 'policies'>,
  workers: readonly WorkerInfo[],
  others: readonly string[] = [],
): string {
  const { requiredFeatures } = need;
  const features =
    requiredFeatures.length === 0
      ? ''
      : ` and the feature${requiredFeatures.length > 1 ? 's' : ''} ${requiredFeatures.join(', ')}`;
  const home = isHomeOnly(need.place) ? ', and its home to build it' : '';
  const offered = byName(workers).map((worker) => {
    const hindrance = hindranceOf(need, worker);
    return `${worker.name} offers ${offerOf(worker)}${hindrance === undefined ? '' : `, but ${hindrance}`}`;
  });
  return `No machine can build ${name}, which needs the system ${need.system}${features}${home} (${listed([...offered, ...others])}); ${remedy(need, workers)}.`;
}

/** Why a choice leaves nobody: which option leaves each machine out, and what that machine is. */
export function whyNobodyChosen(
  policy: Pick<JobOptions, 'only' | 'not'>,
  workers: readonly WorkerInfo[],
  others: readonly string[] = [],
): string {
  const excluded = byName(workers).map((worker) => `${worker.name} ${exclusionOf(policy, worker)}`);
  return `The choice of machines leaves none to build on (${listed([...excluded, ...others])}); choose others, or connect one that suits.`;
}

/** What keeps a machine from something, apart from its system and features. */
function hindranceOf(need: Pick<Need, 'place' | 'policies'>, worker: WorkerInfo): string | undefined {
  const [policy] = need.policies;
  const excluded = need.place !== 'substitute' && !need.policies.some((each) => allows(each, worker));
  if (excluded && policy !== undefined) return exclusionOf(policy, worker);
  if (worker.slots === 0)
    return `takes no builds now${worker.closed === undefined ? '' : `: ${worker.closed}`}`;
  return isHomeOnly(need.place) && !worker.isHome ? 'is not the home' : undefined;
}

/** What to do: let those machines in that could, or make one that can. */
function remedy(
  need: Pick<Need, 'system' | 'requiredFeatures' | 'place' | 'policies'>,
  workers: readonly WorkerInfo[],
): string {
  const suited = workers.filter(
    (worker) => offers(worker, need) && (worker.isHome || !isHomeOnly(need.place)),
  );
  const excluded = suited.filter((worker) => worker.slots > 0).map((worker) => worker.name);
  if (excluded.length > 0) return `let ${either(excluded)} take part in this build`;
  const closed = suited.filter((worker) => worker.closed !== undefined).map((worker) => worker.name);
  if (closed.length > 0) return `build again when ${either(closed)} takes builds`;
  return 'add a machine that can, or give one the missing system or feature in its Nix configuration';
}

/** Which option leaves a machine out, and the facts about it that decided this. */
function exclusionOf(policy: Pick<JobOptions, 'only' | 'not'>, worker: WorkerInfo): string {
  const not = policy.not?.filter((selector) => selects(selector, worker)) ?? [];
  const deciding = not.length > 0 ? not : (policy.only ?? []);
  const options =
    not.length > 0 ? `--not ${quote(not)}` : isLocal(deciding) ? '--local' : `--on ${quote(deciding)}`;
  const facts = factsAbout(deciding, worker);
  return `is left out by ${options}${facts === '' ? '' : `: it has ${facts}`}`;
}

function quote(selectors: readonly MachineSelector[]): string {
  const text = selectors.map((selector) => selector.text).join(',');
  return text.includes('>') ? `'${text}'` : text;
}

function isLocal(selectors: readonly MachineSelector[]): boolean {
  return selectors.length === 1 && selectors[0]?.text === LOCAL;
}

/** Of what a machine is, that which these selectors ask about. */
function factsAbout(selectors: readonly MachineSelector[], worker: WorkerInfo): string {
  const asked = new Set(selectors.flatMap((selector) => selector.terms.map((term) => term.type)));
  const facts: string[] = [];
  if (asked.has('system')) facts.push(worker.systems.join(' ') || 'no system');
  if (asked.has('feature')) facts.push(featuresOf(worker));
  if (asked.has('cores')) facts.push(plural(worker.cores ?? worker.slots, 'core'));
  if (asked.has('memory')) facts.push(`${((worker.memoryBytes ?? 0) / 1e9).toFixed(1)} GB of memory`);
  if (asked.has('speed')) facts.push(`speed ${(worker.speed ?? 1).toFixed(2)}`);
  if (asked.has('tag')) {
    const tags = worker.tags ?? [];
    facts.push(tags.length === 0 ? 'no tags' : `the tag${tags.length > 1 ? 's' : ''} ${tags.join(' ')}`);
  }
  return facts.join(', ');
}

function offerOf(worker: WorkerInfo): string {
  return `${worker.systems.join(' ') || 'no system'}, ${featuresOf(worker)}`;
}

function featuresOf(worker: WorkerInfo): string {
  const { features, mandatoryFeatures: mandatory = [] } = worker;
  const offered = [...new Set([...features, ...mandatory])].join(' ') || 'no features';
  return mandatory.length === 0 ? offered : `${offered}, only for what needs ${mandatory.join(' and ')}`;
}

function byName(workers: readonly WorkerInfo[]): WorkerInfo[] {
  return [...workers].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function listed(machines: readonly string[]): string {
  if (machines.length === 0) return 'no machine is connected';
  const more = machines.length - NAMED_MACHINES;
  const named = machines.slice(0, NAMED_MACHINES);
  return [...named, ...(more > 0 ? [`${more} more cannot either`] : [])].join('; ');
}

function either(names: readonly string[]): string {
  const more = names.length - NAMED_MACHINES;
  return [...names.slice(0, NAMED_MACHINES), ...(more > 0 ? [`${more} more`] : [])].join(' or ');
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
