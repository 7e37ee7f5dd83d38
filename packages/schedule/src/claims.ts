import { MAX_CLAIMS_PER_HOME } from './constants.ts';
import type { ClaimEvent, Release } from './home-protocol.ts';
import { type Derivation, type ForeignClaims, isFinished, type Step } from './home-state.ts';
import { succeed } from './outcomes.ts';
import { decide } from './ownership.ts';
import { Recent } from './recent.ts';
import type { DrvPath, PeerId } from './types.ts';
import { forgetHolder } from './workers.ts';

/** Carries out what happens between homes. */
export function handleClaim(step: Step, event: ClaimEvent): void {
  const { state } = step;
  switch (event.type) {
    case 'home-up':
      homeUp(step, event.from);
      break;
    case 'home-down':
      homeDown(step, event.from);
      break;
    case 'claim-received':
      received(step, event.from, event.stamp, event.drvs);
      break;
    case 'claim-settled': {
      const derivations = state.unsettled.get(event.stamp) ?? [];
      state.unsettled.delete(event.stamp);
      for (const derivation of derivations) {
        if (derivation.claim.stamp !== event.stamp) continue;
        derivation.claim.settled = true;
        decide(step, derivation);
      }
      break;
    }
    case 'claim-released':
      for (const release of event.releases) released(step, event.from, release);
      break;
  }
}

function homeUp(step: Step, peerId: PeerId): void {
  const { state, effects } = step;
  if (peerId === state.self) return;
  state.homes.add(peerId);
  const live = new Map<number, DrvPath[]>();
  for (const derivation of state.graph.vertices()) {
    if (isFinished(derivation) || derivation.node.unresolved) continue;
    const drvs = live.get(derivation.claim.stamp);
    if (drvs === undefined) live.set(derivation.claim.stamp, [derivation.drvPath]);
    else drvs.push(derivation.drvPath);
  }
  for (const [stamp, drvs] of live) effects.push({ type: 'claim', stamp, drvs, to: peerId });
}

function homeDown(step: Step, peerId: PeerId): void {
  const { state } = step;
  state.homes.delete(peerId);
  const claims = state.foreign.get(peerId);
  state.foreign.delete(peerId);
  for (const drvPath of claims?.live.keys() ?? []) decideAbout(step, drvPath);
  forgetHolder(step, peerId);
}

function received(step: Step, from: PeerId, stamp: number, drvs: readonly DrvPath[]): void {
  const { state, effects, now } = step;
  // A claim of a home that is down (again) would never be released.
  if (!state.homes.has(from)) return;
  state.lastStamp = Math.max(state.lastStamp, stamp);
  const claims = claimsOf(step, from);
  const built: Release[] = [];
  for (const drvPath of drvs) {
    if ((claims.ended.get(drvPath) ?? -1) >= stamp) continue;
    if ((claims.live.get(drvPath) ?? -1) >= stamp) continue;
    if (claims.live.size >= MAX_CLAIMS_PER_HOME && !claims.live.has(drvPath)) continue;
    claims.live.set(drvPath, stamp);
    decideAbout(step, drvPath);
    const answer = alreadyBuilt(step, drvPath, now);
    if (answer !== undefined) built.push(answer);
  }
  if (built.length > 0) effects.push({ type: 'release', releases: built, to: from });
}

function alreadyBuilt(step: Step, drvPath: DrvPath, now: number): Release | undefined {
  const { graph, recentlyBuilt } = step.state;
  const derivation = graph.get(drvPath);
  if (derivation?.node.unresolved) return undefined;
  if (derivation?.status === 'built') {
    const holders = [...derivation.holders];
    return { drvPath, stamp: derivation.claim.stamp, outcome: { type: 'built', holders } };
  }
  const recent = recentlyBuilt.get(drvPath);
  if (derivation !== undefined || recent === undefined || recent.until <= now) return undefined;
  return { drvPath, stamp: recent.stamp, outcome: { type: 'built', holders: recent.holders } };
}

function released(step: Step, from: PeerId, release: Release): void {
  const { state } = step;
  const { drvPath, stamp, outcome } = release;
  if (!state.homes.has(from)) return;
  const claims = claimsOf(step, from);
  if ((claims.live.get(drvPath) ?? Number.POSITIVE_INFINITY) <= stamp) claims.live.delete(drvPath);
  if ((claims.ended.get(drvPath) ?? -1) < stamp) claims.ended.set(drvPath, stamp);
  const derivation = state.graph.get(drvPath);
  if (derivation === undefined || derivation.node.unresolved) return;
  if (outcome.type === 'built' && !isFinished(derivation)) {
    const reachable = outcome.holders.filter(
      (holder) => holder === state.self || state.workers.has(holder) || state.homes.has(holder),
    );
    if (reachable.length > 0) {
      succeed(step, derivation, { type: 'valid', holders: reachable }, reachable);
      return;
    }
  }
  decide(step, derivation);
}

function decideAbout(step: Step, drvPath: DrvPath): void {
  const derivation: Derivation | undefined = step.state.graph.get(drvPath);
  if (derivation !== undefined) decide(step, derivation);
}

function claimsOf(step: Step, peerId: PeerId): ForeignClaims {
  let claims = step.state.foreign.get(peerId);
  if (claims === undefined) {
    claims = { live: new Map(), ended: new Recent(MAX_CLAIMS_PER_HOME) };
    step.state.foreign.set(peerId, claims);
  }
  return claims;
}
