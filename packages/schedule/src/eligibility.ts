import { selects } from './machine-selector.ts';
import type { JobOptions, PeerId, Place, WorkerInfo } from './types.ts';

/** What a derivation asks of a machine, and which machines the jobs that want it leave. */
export interface Need {
  readonly system: string;
  readonly requiredFeatures: readonly string[];
  readonly place: Place;
  /** One for each different wish among its jobs: a machine that suits one of them will do. */
  readonly policies: readonly Pick<JobOptions, 'only' | 'not'>[];
  /** Workers that failed it as machines. */
  readonly avoid: ReadonlySet<PeerId>;
  /** The last try before it fails for good. */
  readonly lastTry: boolean;
}

/** Has the system and all the features. */
export function offers(worker: WorkerInfo, need: Pick<Need, 'system' | 'requiredFeatures'>): boolean {
  if (need.system !== 'builtin' && !worker.systems.includes(need.system)) return false;
  return need.requiredFeatures.every((feature) => worker.features.includes(feature));
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

/** Why nobody can: what it needs and what each machine offers. */
export function whyImpossible(
  name: string,
  need: Pick<Need, 'system' | 'requiredFeatures' | 'place' | 'policies'>,
  workers: readonly WorkerInfo[],
): string {
  const features =
    need.requiredFeatures.length > 0 ? ` and the features ${need.requiredFeatures.join(', ')}` : '';
  const home = isHomeOnly(need.place) ? ', and its home to build it' : '';
  const machines = workers.slice(0, NAMED_MACHINES).map((worker) => {
    const excluded = !need.policies.some((policy) => allows(policy, worker));
    const none = worker.slots === 0 ? 'takes no builds now' : '';
    const what = [worker.systems.join(' ') || 'no system', worker.features.join(' ') || 'no features'].join(
      ', ',
    );
    return `${worker.name} offers ${what}${excluded ? ', but the job excludes it' : ''}${none && `, but ${none}`}`;
  });
  if (workers.length > NAMED_MACHINES) machines.push(`${workers.length - NAMED_MACHINES} more do not either`);
  const mesh = machines.length > 0 ? machines.join('; ') : 'no machine is connected';
  return `No machine can build ${name}, which needs the system ${need.system}${features}${home} (${mesh}); add a machine that can, or give one the missing system or feature in its Nix configuration.`;
}
