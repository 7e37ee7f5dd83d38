import type { WorkerMachineEffect } from '@mesh/schedule';
import type { WorkerMessage } from '@mesh/wire';

/** Effects that say to a home just what they say. */
type Said = Extract<WorkerMachineEffect, { type: 'steal' | 'unsteal' | 'started' | 'heartbeat' }>;

/** An effect as its home hears of it. */
export function effectMessage(effect: Said): WorkerMessage {
  switch (effect.type) {
    case 'steal':
      return { type: 'steal', request: effect.request, ahead: effect.ahead };
    case 'unsteal':
      return { type: 'unsteal', request: effect.request };
    case 'started':
      return { type: 'started', lease: effect.lease, attempt: effect.attempt, cores: effect.cores };
    case 'heartbeat':
      return {
        type: 'heartbeat',
        leases: effect.leases.map(({ lease, attempt }) => ({ lease, attempt })),
      };
  }
}
