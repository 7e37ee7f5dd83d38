import { SHUN_MS } from './constants.ts';
import { learn } from './experience.ts';
import type { LeaseEvent } from './home-protocol.ts';
import { type Derivation, type Lease, type Step, wakeAt } from './home-state.ts';
import { cancelLease, endLease, followersOf } from './lease-table.ts';
import { fail, succeed } from './outcomes.ts';
import { decide } from './ownership.ts';
import { compareWithWinner, finishRace, hashesOf } from './race-outcome.ts';
import { reclass } from './ready-queue.ts';
import type { BuildOutcome, LeaseRef, PeerId } from './types.ts';

/** Grants and requests cross now and then; more often than this something is wrong with the worker. */
const CROSSED_TOO_OFTEN = 4;

/** Carries out what a worker says about its leases; anything about a lease that is over is fenced here. */
export function handleLease(step: Step, event: LeaseEvent): void {
  if (event.type === 'heartbeat') {
    heartbeat(step, event.peerId, event.leases);
    return;
  }
  const lease = currentLease(step, event.peerId, event);
  if (lease === undefined) {
    if (event.type === 'result') compareWithWinner(step, event.peerId, event.lease, event.outcome);
    return;
  }
  switch (event.type) {
    case 'started':
      lease.startedAt ??= step.now;
      changed(step, lease.peerId);
      lease.revokedFor = undefined;
      // It could not have started without all inputs, so others can fetch them there too.
      for (const dependency of lease.derivation.dependencies) dependency.holders.add(event.peerId);
      break;
    case 'returned':
      if (event.reason === 'machine')
        machineFailed(step, lease, event.detail ?? 'it could not start the build');
      else {
        lease.derivation.returns++;
        if (event.reason === 'busy') shun(step, lease, event.detail !== undefined && event.detail !== '');
        giveUp(step, lease);
      }
      break;
    case 'result':
      takeResult(step, lease, event.outcome);
      break;
  }
}

function takeResult(step: Step, lease: Lease, outcome: BuildOutcome): void {
  const { derivation, peerId } = lease;
  if (outcome.type === 'machine-failure') {
    if (outcome.outOfMemory === true) derivation.alone = true;
    machineFailed(step, lease, outcome.message);
    return;
  }
  learn(step, lease, outcome.timings);
  finishRace(step, lease);
  endLease(step, lease);
  const by = { peerId, lease: lease.lease, attempt: lease.attempt };
  const timings = outcome.timings === undefined ? {} : { timings: outcome.timings };
  if (outcome.type === 'built') {
    derivation.outputBytes = outcome.outputs.reduce((sum, output) => sum + output.narBytes, 0);
    derivation.hashes = hashesOf(peerId, outcome.outputs);
    const { self, workers } = step.state;
    const holders = workers.get(peerId)?.info.delivers === true ? [self, peerId] : [peerId];
    succeed(step, derivation, { type: 'built', ...by, outputs: outcome.outputs, ...timings }, holders);
  } else {
    fail(step, derivation, { type: 'failed', kind: 'build', message: outcome.message, ...by, ...timings });
  }
}

/** A machine, not the build, failed: the derivation goes elsewhere, a limited number of times. */
export function machineFailed(step: Step, lease: Lease, message: string): void {
  const { state, effects } = step;
  const { derivation, peerId } = lease;
  endChain(step, lease);
  derivation.failures++;
  derivation.avoid.add(peerId);
  effects.push({
    type: 'attempt-failed',
    drvPath: derivation.drvPath,
    peerId,
    lease: lease.lease,
    attempt: lease.attempt,
    message,
  });
  if (derivation.failures >= state.maxAttempts && derivation.leases.length === 0) {
    const machines = derivation.avoid.size;
    const times = `${derivation.failures} attempts on ${machines} machine${machines === 1 ? '' : 's'}`;
    fail(step, derivation, {
      type: 'failed',
      kind: 'machines',
      message: `${derivation.node.name} could not be built in ${times}, none of which got as far as the build's own answer; see to those machines and build again (the last said: ${message}).`,
      peerId,
      lease: lease.lease,
      attempt: lease.attempt,
    });
    return;
  }
  reclass(step, derivation);
  decide(step, derivation);
}

/** The worker of this lease is gone or silent. What it had not started costs the derivation nothing. */
export function loseLease(step: Step, lease: Lease, message: string): void {
  if (lease.startedAt !== undefined) machineFailed(step, lease, message);
  else giveUp(step, lease);
}

/** Gives up leases not renewed in time and sees to the next wake-up. */
export function expireLeases(step: Step): void {
  const { state, now } = step;
  for (const lease of [...state.leases.values()]) {
    if (!state.leases.has(lease.lease)) continue;
    const until = lease.deadline + state.graceMs;
    if (until > now) {
      wakeAt(step, until);
      continue;
    }
    loseLease(
      step,
      lease,
      `it has said nothing about the build for ${now - lease.deadline + state.leaseMs} ms`,
    );
  }
}

/** Ends a lease at no cost to the derivation, which goes back into the queue unless it is raced. */
function giveUp(step: Step, lease: Lease): void {
  endChain(step, lease);
  decide(step, lease.derivation);
}

/** Ends a lease that leads to nothing, and what was to follow it in its slot. */
function endChain(step: Step, lease: Lease): void {
  const followers = followersOf(step.state, lease);
  endLease(step, lease);
  for (const follower of followers) {
    cancelLease(step, follower, 'what it was to follow is not built there');
    endChain(step, follower);
    decide(step, follower.derivation);
  }
}

/** What is expected of its slots is to be worked out anew. */
function changed({ state }: Step, peerId: PeerId): void {
  const worker = state.workers.get(peerId);
  if (worker !== undefined) worker.timetable = undefined;
}

/** A worker that says what it lacks is left alone for a while; one that merely crossed our grant only when that goes on. */
function shun(step: Step, { derivation, peerId }: Lease, lacking: boolean): void {
  if (!lacking && derivation.returns < CROSSED_TOO_OFTEN) return;
  const until = step.now + (lacking ? SHUN_MS : Math.min(SHUN_MS, 2 ** Math.min(10, derivation.returns)));
  derivation.shunned.set(peerId, until);
  wakeAt(step, until);
}

function heartbeat(step: Step, peerId: PeerId, leases: readonly LeaseRef[]): void {
  const { state, now, effects } = step;
  if (!state.workers.has(peerId)) return;
  for (const ref of leases) {
    const lease = currentLease(step, peerId, ref);
    if (lease !== undefined) lease.deadline = now + state.leaseMs;
    else
      effects.push({
        type: 'cancel',
        peerId,
        lease: ref.lease,
        attempt: ref.attempt,
        reason: 'this lease is over',
      });
  }
}

function currentLease(step: Step, peerId: PeerId, ref: LeaseRef): Lease | undefined {
  const lease = step.state.leases.get(ref.lease);
  return lease?.peerId === peerId && lease.attempt === ref.attempt ? lease : undefined;
}

/** One more who has the outputs. */
export function holds(derivation: Derivation | undefined, peerId: PeerId): void {
  if (derivation?.status === 'built') derivation.holders.add(peerId);
}
