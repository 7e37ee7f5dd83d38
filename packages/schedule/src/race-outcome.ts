import { learnFromLoss } from './experience.ts';
import type { Lease, OutputHashes, Step } from './home-state.ts';
import { cancelLease, followersOf } from './lease-table.ts';
import { decide } from './ownership.ts';
import type { BuildOutcome, BuiltOutput, LeaseId, PeerId } from './types.ts';

/** The first answer counts: the other runner is stopped, and what it had spent is counted as waste. */
export function finishRace(step: Step, winner: Lease): void {
  const { state, now, effects } = step;
  const { derivation } = winner;
  for (const loser of derivation.leases.filter((lease) => lease !== winner)) {
    const wastedMs = loser.startedAt === undefined ? 0 : now - loser.startedAt;
    state.racing.wastedMs += wastedMs;
    if (winner.race) state.racing.won++;
    else state.racing.lost++;
    state.raceLosers.set(loser.lease, { peerId: loser.peerId, drvPath: derivation.drvPath });
    learnFromLoss(step, loser);
    const followers = followersOf(state, loser);
    cancelLease(step, loser, 'another machine was faster');
    for (const follower of followers) {
      cancelLease(step, follower, 'what it was to follow was built elsewhere');
      decide(step, follower.derivation);
    }
    effects.push({
      type: 'race-finished',
      drvPath: derivation.drvPath,
      winner: winner.peerId,
      loser: loser.peerId,
      raceWon: winner.race,
      wastedMs,
    });
  }
}

/** The result of a race's loser that was under way already: worth nothing but the comparison. */
export function compareWithWinner(step: Step, peerId: PeerId, lease: LeaseId, outcome: BuildOutcome): void {
  const lost = step.state.raceLosers.get(lease);
  if (lost?.peerId !== peerId || outcome.type !== 'built') return;
  const first = step.state.graph.get(lost.drvPath)?.hashes;
  if (first === undefined) return;
  step.state.raceLosers.delete(lease);
  for (const [path, narHash] of hashesOf(peerId, outcome.outputs)?.byPath ?? []) {
    const expected = first.byPath.get(path);
    if (expected === undefined || expected === narHash) continue;
    step.effects.push({
      type: 'outputs-differ',
      drvPath: lost.drvPath,
      output: path,
      first: { peerId: first.peerId, narHash: expected },
      second: { peerId, narHash },
    });
  }
}

export function hashesOf(peerId: PeerId, outputs: readonly BuiltOutput[]): OutputHashes | undefined {
  const byPath = new Map<string, string>();
  for (const { path, narHash } of outputs) if (narHash !== undefined) byPath.set(path, narHash);
  return byPath.size === 0 ? undefined : { peerId, byPath };
}
