import { stepWorker } from './worker.ts';
import type { WorkerCapacity, WorkerMachineEffect, WorkerMachineEvent } from './worker-protocol.ts';
import { initialWorker, type WorkerInit, type WorkerState } from './worker-state.ts';

type Event = WorkerMachineEvent extends infer E ? (E extends unknown ? Omit<E, 'now'> : never) : never;
type Leased = Partial<Omit<Extract<WorkerMachineEvent, { type: 'leased' }>, 'type' | 'now' | 'lease'>>;

/** One worker, called `w`, and the time: what its tests are written in. */
export class WorkerScenario {
  now = 0;
  readonly state: WorkerState;

  constructor(init: Partial<WorkerInit> = {}) {
    this.state = initialWorker({ self: 'w', incarnation: 'w', slots: 2, aheadSlots: 1, ...init });
  }

  /** What the worker wants done after this, wake-ups left out. */
  after(event: Event): Exclude<WorkerMachineEffect, { type: 'wake-at' }>[] {
    const { effects } = stepWorker(this.state, { now: this.now, ...event } as WorkerMachineEvent);
    return effects.filter((effect) => effect.type !== 'wake-at');
  }

  leased(lease: string, more: Leased = {}): WorkerMachineEffect[] {
    const { home = 'h', ...rest } = more;
    return this.after({
      type: 'leased',
      home,
      request: 'r',
      lease,
      attempt: 1,
      drvPath: `/${lease}.drv`,
      ahead: false,
      ...rest,
    });
  }

  /** Leases it and lets its inputs be there. */
  building(lease: string, more: Leased = {}): WorkerMachineEffect[] {
    return [...this.leased(lease, more), ...this.ready(lease)];
  }

  ready(lease: string): WorkerMachineEffect[] {
    return this.after({ type: 'inputs-ready', lease });
  }

  built(lease: string): WorkerMachineEffect[] {
    return this.after({ type: 'build-finished', lease, outcome: { type: 'built', outputs: [] } });
  }

  offer(more: Partial<WorkerCapacity>): WorkerMachineEffect[] {
    return this.after({ type: 'capacity', capacity: { ...this.state.capacity, ...more } });
  }

  /** Requests for free slots parked at a home. */
  parkedAt(home: string): number {
    return this.state.homes.get(home)?.parked.size ?? 0;
  }
}

/** What gives leases back, in short. */
export function returned(effects: readonly WorkerMachineEffect[]): { lease: string; reason: string }[] {
  return effects.flatMap((effect) =>
    effect.type === 'returned' ? [{ lease: effect.lease, reason: effect.reason }] : [],
  );
}

/** Cores of the builds that these effects start, by lease. */
export function coresGiven(effects: readonly WorkerMachineEffect[]): Record<string, number> {
  return Object.fromEntries(
    effects.flatMap((effect) => (effect.type === 'build' ? [[effect.lease, effect.cores]] : [])),
  );
}
