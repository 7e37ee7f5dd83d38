import { tellAppetites } from './appetite.ts';
import { handleClaim } from './claims.ts';
import { dispatch } from './dispatch.ts';
import type { HomeEffect, HomeEvent, Release } from './home-protocol.ts';
import { type HomeState, isFinished, type Step } from './home-state.ts';
import { addUpLags } from './job-share.ts';
import { handleJob } from './jobs.ts';
import { expireLeases, handleLease, holds } from './leases.ts';
import { rebuildIfNeeded, succeed } from './outcomes.ts';
import { countSlotTime } from './racing.ts';
import { failImpossible, handleWorker } from './workers.ts';

/**
 * The home's decisions: what each parked request gets, which results count, what is left to other homes, when jobs
 * are done. Changes `state` in place, which nobody else may write; the same state and events give the same effects.
 */
export function stepHome(
  state: HomeState,
  event: HomeEvent,
): { readonly state: HomeState; readonly effects: HomeEffect[] } {
  const releases: Release[] = [];
  countSlotTime(state, event.now);
  addUpLags(state, event.now);
  const step: Step = { state, now: event.now, effects: [], releases };
  handle(step, event);
  // That a build has started frees nothing and makes nothing ready.
  if (event.type !== 'started') {
    dispatch(step);
    tellAppetites(step);
  }
  if (releases.length > 0) step.effects.push({ type: 'release', releases });
  return { state, effects: step.effects };
}

function handle(step: Step, event: HomeEvent): void {
  const { state, now } = step;
  switch (event.type) {
    case 'job-added':
    case 'derivations-added':
    case 'predictions-changed':
    case 'job-sealed':
    case 'job-cancelled':
      handleJob(step, event);
      break;
    case 'worker-up':
    case 'worker-down':
    case 'steal':
    case 'unsteal':
      handleWorker(step, event);
      break;
    case 'heartbeat':
    case 'started':
    case 'returned':
    case 'result':
      handleLease(step, event);
      break;
    case 'home-up':
    case 'home-down':
    case 'claim-received':
    case 'claim-settled':
    case 'claim-released':
      handleClaim(step, event);
      break;
    case 'outputs-valid': {
      const derivation = state.graph.get(event.drvPath);
      if (derivation === undefined) break;
      if (isFinished(derivation)) for (const holder of event.holders) holds(derivation, holder);
      else {
        const holders = event.holders.length > 0 ? event.holders : [state.self];
        succeed(step, derivation, { type: 'valid', holders }, holders);
      }
      break;
    }
    case 'outputs-held':
      holds(state.graph.get(event.drvPath), event.peerId);
      break;
    case 'outputs-lost': {
      const derivation = state.graph.get(event.drvPath);
      if (derivation?.status !== 'built') break;
      // Who could not give them would only say again that it has them.
      for (const holder of derivation.holders) derivation.avoid.add(holder);
      derivation.holders.clear();
      rebuildIfNeeded(step, derivation);
      break;
    }
    case 'tick':
      if (state.wakeAt !== undefined && state.wakeAt <= now) state.wakeAt = undefined;
      expireLeases(step);
      failImpossible(step);
      break;
  }
}
