import type { HomeState, Step } from './home-state.ts';
import { choose, emulates } from './placement.ts';
import { ableWorkers } from './ready-queue.ts';
import { prediction, seconds } from './reasons.ts';
import { Round } from './round.ts';
import type { DrvPath } from './types.ts';

/** Names of what is waited for in a sentence; the rest is counted. */
const NAMED = 3;

/**
 * Why a derivation that no worker has yet is where it is, in one sentence: what it waits for, or which slot. Undefined
 * for those that this home does not know, or that are leased or over.
 */
export function explainWaiting(state: HomeState, drvPath: DrvPath, now: number): string | undefined {
  const derivation = state.graph.get(drvPath);
  if (derivation === undefined) return undefined;
  const { name } = derivation.node;
  const { claim } = derivation;
  if (derivation.status !== 'waiting' && derivation.status !== 'ready') return undefined;
  if (claim.deferredTo !== undefined) return `${name} is left to another home, which wanted it first.`;
  if (!claim.settled) return `${name} waits for the other homes to say whether they build it.`;
  if (derivation.blockers > 0) {
    const open = derivation.dependencies.filter((dependency) => dependency.status !== 'built');
    const named = open.slice(0, NAMED).map((dependency) => dependency.node.name);
    const more = derivation.blockers - named.length;
    const rest = more > 0 ? ` and ${more} more` : '';
    return `${name} waits for ${named.join(', ')}${rest}; ${seconds(derivation.bLevelMs)} of work hang on it.`;
  }
  if (ableWorkers(state, derivation.work).length === 0)
    return `${name} is ready, but no machine that is connected can and may build it.`;
  const step: Step = { state, now, effects: [], releases: [] };
  const round = new Round(step);
  const { bestFree, bestBusy } = choose(round, derivation);
  const best = bestBusy ?? bestFree;
  const queue = `${prediction(derivation)}, ${seconds(derivation.bLevelMs)} of work hang on it, ${state.ready} are ready`;
  if (best === undefined) return `${name} is ready and waits for a slot (${queue}).`;
  const emulated = emulates(best.worker, derivation) ? ', which emulates its system' : '';
  return `${name} is ready and waits for a slot of ${best.worker.info.name}${emulated}, expected in ${seconds(Math.max(0, best.startAt - now))}: it would end there in ${seconds(best.endAt - now)}${bestFree === undefined || bestFree === best ? '' : `, sooner than the ${seconds(bestFree.endAt - now)} on ${bestFree.worker.info.name}, where a slot is free`} (${queue}).`;
}
