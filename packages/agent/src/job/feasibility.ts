import {
  allows,
  type DerivationNode,
  eligible,
  type JobOptions,
  type Need,
  offers,
  type WorkerInfo,
  whyImpossible,
  whyNobodyChosen,
} from '@mesh/schedule';

type Policy = Pick<JobOptions, 'only' | 'not'>;

/** A machine that has not introduced itself as a worker (yet). */
export interface Absent {
  readonly name: string;
  /** What its last record said it is; absent: nobody knows. */
  readonly info?: WorkerInfo | undefined;
}

/** The machines a plan can count on. */
export interface MachinesInSight {
  readonly workers: readonly WorkerInfo[];
  /** Members that may introduce themselves within seconds. */
  readonly expected: readonly Absent[];
  /** Why the other members are not among the workers, a few words each. */
  readonly others: readonly string[];
}

/** Why a plan cannot be carried out. */
export interface Impossibility {
  /** One sentence: what is needed, what each machine offers, what to do. */
  readonly message: string;
  /** The derivation it speaks of; absent: the choice of machines leaves nobody at all. */
  readonly drvPath?: string;
  /** Whether a machine that may come within seconds would change that. */
  readonly mayPass: boolean;
}

/** What derivations with the same wishes ask of a machine, and the first of them. */
interface SharedNeed {
  readonly need: Need;
  readonly first: DerivationNode;
  count: number;
}

/** Collects what a job's derivations ask of machines, and says whether the machines in sight can do all of it. */
export class Feasibility {
  readonly #policy: Policy;
  readonly #needs = new Map<string, SharedNeed>();

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  add(nodes: Iterable<DerivationNode>): void {
    for (const node of nodes) {
      const { system, requiredFeatures, place } = node;
      const key = JSON.stringify([system, [...requiredFeatures].sort(), place]);
      const known = this.#needs.get(key);
      if (known !== undefined) {
        known.count++;
        continue;
      }
      const policies = [this.#policy];
      const need = { system, requiredFeatures, place, policies, avoid: new Set<string>(), lastTry: false };
      this.#needs.set(key, { need, first: node, count: 1 });
    }
  }

  /** What is wrong with the choice itself: something is to be built and it leaves no machine; undefined: nothing. */
  choice(machines: MachinesInSight): Impossibility | undefined {
    const builds = [...this.#needs.values()].some(({ need }) => need.place !== 'substitute');
    if (!builds || machines.workers.some((worker) => allows(this.#policy, worker))) return undefined;
    return {
      message: whyNobodyChosen(this.#policy, machines.workers, machines.others),
      mayPass: machines.expected.some(({ info }) => info === undefined || allows(this.#policy, info)),
    };
  }

  /** The first derivation that no machine can build, with how many more there are such; undefined: all can be built. */
  derivations(machines: MachinesInSight): Impossibility | undefined {
    const candidates = machines.workers.map((info) => ({ info }));
    const impossible = [...this.#needs.values()].filter(
      ({ need }) => eligible(need, candidates).length === 0,
    );
    // What will not pass is why: a machine that comes would not change it.
    const lasting = impossible.filter(({ need }) => !mayBeServed(need, machines));
    const told = lasting.length > 0 ? lasting : impossible;
    const [first] = told;
    if (first === undefined) return undefined;
    const more = told.reduce((sum, { count }) => sum + count, 0) - 1;
    const name = more === 0 ? first.first.name : `${first.first.name} (and ${more} more)`;
    return {
      drvPath: first.first.drvPath,
      message: whyImpossible(name, first.need, machines.workers, machines.others),
      mayPass: lasting.length === 0,
    };
  }
}

/** Whether somebody who may come, or who takes no builds at the moment, would do. */
function mayBeServed(need: Need, machines: MachinesInSight): boolean {
  const closed = machines.workers.filter((worker) => worker.slots === 0 && worker.closed !== undefined);
  const open = closed.map((info) => ({ info: { ...info, slots: 1 } }));
  if (eligible(need, open).length > 0) return true;
  const isPinned = need.place === 'home' || need.place === 'substitute';
  return machines.expected.some(({ info }) => {
    if (isPinned) return false;
    return info === undefined || (offers(info, need) && need.policies.some((policy) => allows(policy, info)));
  });
}
