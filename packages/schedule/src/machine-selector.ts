import type { MachineSelector, MachineTerm, WorkerInfo } from './types.ts';

/** Whether a machine suits all terms of a selector. */
export function selects(selector: MachineSelector, worker: WorkerInfo): boolean {
  return selector.terms.every((term) => suits(term, worker));
}

function suits(term: MachineTerm, worker: WorkerInfo): boolean {
  switch (term.type) {
    case 'peer':
      return worker.peerId === term.peerId;
    case 'name':
      return worker.name === term.value || worker.peerId === term.value;
    case 'system':
      return worker.systems.includes(term.value);
    case 'feature':
      return worker.features.includes(term.value);
    case 'tag':
      return worker.tags?.includes(term.value) ?? false;
    case 'cores':
      return (worker.cores ?? worker.slots) >= term.atLeast;
    case 'speed':
      return (worker.speed ?? 1) >= term.atLeast;
    case 'memory':
      return (worker.memoryBytes ?? 0) >= term.atLeast;
  }
}

/** What the user wrote to get the home alone. */
export const LOCAL = '--local';

/** A selector for one machine. */
export function machine(peerId: string, text: string = peerId): MachineSelector {
  return { text, terms: [{ type: 'peer', peerId }] };
}
