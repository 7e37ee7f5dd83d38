import type { Clock, MeshNet } from '@mesh/net';
import { IMPOSSIBLE_AFTER_MS } from '@mesh/schedule';
import { EXPECTED_LOOK_MS } from '../constants.ts';
import type { Home } from '../home/home.ts';
import { absences, expectedMembers } from './expected-members.ts';
import type { Feasibility, Impossibility, MachinesInSight } from './feasibility.ts';

export interface PlanCheckComponents {
  net: MeshNet;
  home: Pick<Home, 'workers' | 'called' | 'onWorkersChanged'> & Partial<Pick<Home, 'builders'>>;
  clock: Clock;
  /** When this agent started, by the wall clock. */
  agentStartedMs: number;
}

type Question = (machines: MachinesInSight) => Impossibility | undefined;

/** Holds what a job needs against the machines that are here, and waits a moment for those that may still come. */
export class PlanCheck {
  readonly #components: PlanCheckComponents;
  readonly needs: Feasibility;

  constructor(components: PlanCheckComponents, needs: Feasibility) {
    this.#components = components;
    this.needs = needs;
  }

  /** What no machine can build, if none that could may come. */
  hopeless(): Impossibility | undefined {
    const found = this.needs.derivations(this.#inSight());
    return found?.mayPass === true ? undefined : found;
  }

  /** What is wrong with the choice of machines, as soon as that is certain. */
  choice(signal: AbortSignal): Promise<Impossibility | undefined> {
    return this.#settled((machines) => this.needs.choice(machines), signal);
  }

  /** The derivations that no machine can build, as soon as that is certain. */
  derivations(signal: AbortSignal): Promise<Impossibility | undefined> {
    return this.#settled((machines) => this.needs.derivations(machines), signal);
  }

  async #settled(question: Question, signal: AbortSignal): Promise<Impossibility | undefined> {
    const { clock } = this.#components;
    const deadlineMs = clock.monotonic() + IMPOSSIBLE_AFTER_MS;
    for (;;) {
      const found = question(this.#inSight());
      if (found === undefined || !found.mayPass || signal.aborted) return found;
      const leftMs = deadlineMs - clock.monotonic();
      if (leftMs <= 0) return found;
      await this.#change(Math.min(leftMs, EXPECTED_LOOK_MS), signal);
    }
  }

  #inSight(): MachinesInSight {
    const { net, home, clock, agentStartedMs } = this.#components;
    const workers = home.workers();
    const sight = {
      members: net.members(),
      introduced: workers,
      called: home.called(),
      agentStartedMs,
      nowMs: clock.now(),
    };
    return {
      workers: [...workers.values()],
      expected: [...expectedMembers(sight), ...(home.builders?.expected() ?? [])],
      others: [...absences(sight), ...(home.builders?.absences() ?? [])],
    };
  }

  /** Resolves when a worker comes, changes or goes, and after `waitMs` in any case. */
  async #change(waitMs: number, signal: AbortSignal): Promise<void> {
    const { home, clock } = this.#components;
    const changed = Promise.withResolvers<void>();
    const stop = home.onWorkersChanged(changed.resolve);
    const timer = clock.after(waitMs, changed.resolve);
    signal.addEventListener('abort', () => changed.resolve(), { once: true });
    await changed.promise;
    stop();
    timer.cancel();
  }
}
