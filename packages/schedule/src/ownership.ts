import { RECENTLY_BUILT_MS } from './constants.ts';
import type { ReleaseOutcome } from './home-protocol.ts';
import { type Derivation, isFinished, type OwnClaim, type Step } from './home-state.ts';
import { consider } from './ready-queue.ts';

/**
 * Claims derivations new to this home, all with one stamp. Stamps order claims the same way at every home: each is
 * larger than any the home has seen (Lamport 1978), and time gives the earlier the smaller where they crossed.
 */
export function claimAll(step: Step, derivations: readonly Derivation[]): void {
  const { state, now, effects } = step;
  if (derivations.length === 0) return;
  const stamp = Math.max(state.lastStamp + 1, Math.floor(now));
  state.lastStamp = stamp;
  const shared = state.homes.size === 0 ? [] : derivations.filter(({ node }) => !node.unresolved);
  for (const derivation of derivations)
    derivation.claim = { stamp, settled: true, deferredTo: undefined } satisfies OwnClaim;
  for (const { claim } of shared) claim.settled = false;
  if (shared.length > 0) {
    state.unsettled.set(stamp, shared);
    effects.push({ type: 'claim', stamp, drvs: shared.map((d) => d.drvPath) });
  }
  for (const derivation of derivations) decide(step, derivation);
}

/**
 * Leaves an unleased derivation to the home with the smallest (stamp, peer id) among the live claims, or takes it
 * back. One that is leased stays: its build goes on even if another home's claim turns out to be older.
 */
export function decide(step: Step, derivation: Derivation): void {
  const { state } = step;
  if (isFinished(derivation) || derivation.status === 'leased') return;
  let owner = state.self;
  let first = derivation.claim.stamp;
  for (const [peerId, claims] of derivation.node.unresolved ? [] : state.foreign) {
    const stamp = claims.live.get(derivation.drvPath);
    if (stamp === undefined || stamp > first || (stamp === first && peerId > owner)) continue;
    owner = peerId;
    first = stamp;
  }
  derivation.claim.deferredTo = owner === state.self ? undefined : owner;
  consider(step, derivation);
}

/** Tells the other homes that this one's claim is over, and why. */
export function endClaim(step: Step, derivation: Derivation, outcome: ReleaseOutcome): void {
  const { state, now } = step;
  const { drvPath, claim, node } = derivation;
  if (node.unresolved) return;
  if (outcome.type === 'built')
    state.recentlyBuilt.set(drvPath, {
      holders: outcome.holders,
      stamp: claim.stamp,
      until: now + RECENTLY_BUILT_MS,
    });
  if (state.homes.size > 0) step.releases.push({ drvPath, stamp: claim.stamp, outcome });
}
