import type { HomeEffect } from '@mesh/schedule';
import type { Job } from '../job/job.ts';
import type { PlannedDerivation } from '../job/planner.ts';
import type { Granted } from './grants.ts';
import type { Holders } from './holders.ts';

type DerivationFinished = Extract<HomeEffect, { type: 'derivation-finished' }>;
type FinishedDerivation = Parameters<Job['finished']>[1];

/** Notes who has what since a derivation ended. */
export function noteHolders(
  holders: Holders,
  { outcome }: DerivationFinished,
  planned: PlannedDerivation | undefined,
): void {
  if (outcome.type === 'built') {
    for (const output of outcome.outputs) holders.add(output.path, outcome.peerId);
    // To build it, that machine had to have the inputs.
    for (const input of planned?.inputs ?? []) {
      if (holders.of(input).length > 0) holders.add(input, outcome.peerId);
    }
  } else if (outcome.type === 'valid') {
    for (const path of planned?.node.outputs ?? []) {
      for (const peer of outcome.holders) holders.add(path, peer);
    }
  }
}

/** How a derivation ended, as a job remembers it. `granted`: the lease that brought it, where one did. */
export function asJobsSeeIt(
  { outcome }: DerivationFinished,
  granted: Granted | undefined,
): FinishedDerivation {
  const { buildMs, fetched } = granted ?? { buildMs: 0, fetched: [] };
  const lease = 'lease' in outcome && outcome.lease !== undefined ? { lease: outcome.lease } : {};
  switch (outcome.type) {
    case 'valid':
      return { outcome: 'valid', peerId: null, buildMs, fetched };
    case 'failed':
      return {
        ...{ outcome: 'failed', peerId: outcome.peerId ?? null, ...lease, buildMs, fetched },
        message: outcome.message,
        noMachine: outcome.kind !== 'build',
      };
    case 'built':
      return {
        ...{ outcome: 'built', peerId: outcome.peerId, ...lease, buildMs, fetched },
        outputs: new Map(outcome.outputs.map(({ name, path }) => [name, path])),
        outputBytes: outcome.outputs.reduce((sum, { narBytes }) => sum + narBytes, 0),
      };
  }
}
