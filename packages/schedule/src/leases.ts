import type { LeaseEvent } from './home-protocol.ts';
import { type Derivation, type Lease, type Step, wakeAt } from './home-state.ts';
import { endLease } from './lease-table.ts';
import { fail, succeed } from './outcomes.ts';
import { decide } from './ownership.ts';
import { reclass } from './ready-queue.ts';
import type { BuildOutcome, LeaseRef, PeerId } from './types.ts';

/** Carries out what a worker says about its leases; anything about a lease that is over is fenced here. */
export function handleLease(step: Step, event: LeaseEvent): void {
  if (event.type === 'heartbeat') {
    heartbeat(step, event.peerId, event.leases);
    return;
  }
  const lease = currentLease(step, event.peerId, event);
  if (lease === undefined) return;
  switch (event.type) {
    case 'started':
      lease.startedAt ??= step.now;
      lease.revokedFor = undefined;
      // It could not have started without all inputs, so others can fetch them there too.
      for (const dependency of lease.derivation.dependencies) dependency.holders.add(event.peerId);
      break;
    case 'returned':
      if (event.reason === 'machine')
        machineFailed(step, lease, event.detail ?? 'it could not start the build');
      else {
        endLease(step.state, lease);
        decide(step, lease.derivation);
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
    machineFailed(step, lease, outcome.message);
    return;
  }
  endLease(step.state, lease);
  const by = { peerId, lease: lease.lease, attempt: lease.attempt };
  const timings = outcome.timings === undefined ? {} : { timings: outcome.timings };
  if (outcome.type === 'built') {
    derivation.outputBytes = outcome.outputs.reduce((sum, output) => sum + output.narBytes, 0);
    succeed(step, derivation, { type: 'built', ...by, outputs: outcome.outputs, ...timings }, [peerId]);
  } else {
    fail(step, derivation, { type: 'failed', kind: 'build', message: outcome.message, ...by, ...timings });
  }
}

/** A machine, not the build, failed: the derivation goes elsewhere, a limited number of times. */
export function machineFailed(step: Step, lease: Lease, message: string): void {
  const { state, effects } = step;
  const { derivation, peerId } = lease;
  endLease(state, lease);
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
  if (derivation.failures >= state.maxAttempts) {
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
  if (lease.startedAt !== undefined) {
    machineFailed(step, lease, message);
    return;
  }
  endLease(step.state, lease);
  decide(step, lease.derivation);
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
