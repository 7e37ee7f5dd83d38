import { silentLogger, systemClock } from '@mesh/net';
import { DaemonClient } from '@mesh/nix';
import type { HomeMessage, WorkerMessage } from '@mesh/wire';
import { expect, test } from 'vitest';
import { memoryChannelPair, type WorkChannel } from '../memory-channel.ts';
import { BuildConnections } from './build-connections.ts';
import { Worker } from './worker.ts';

const connections = new BuildConnections(systemClock, () =>
  DaemonClient.connect({ socketPath: '/nonexistent/nix-daemon.sock' }),
);

/** Two slots on a machine without a nix-daemon. */
function newWorker(): Worker {
  const capability = {
    ...{ systems: ['x86_64-linux'], systemFeatures: [], cores: 2, slots: 2 },
    ...{ memoryBytes: undefined, nixVersion: '2.34.8' },
  };
  const settings = { cores: 0, maxSilentTimeSeconds: 0, timeoutSeconds: 0, overrides: {} };
  const capacity = { slots: 2, slotsForOthers: 2, cores: 2, reservedSlots: 1 };
  return new Worker(
    {
      self: 'w',
      name: 'w',
      incarnation: 'w',
      capability,
      tags: [],
      submittersOnly: '',
      aheadSlots: 0,
      settings,
    },
    { capacity, ownSlots: 2, otherSlots: 2, closed: undefined },
    {
      clock: systemClock,
      logger: silentLogger,
      fetcher: { fetchClosure: async () => ({ sources: [] }), prepare: () => undefined },
      connections,
      roots: { retain: () => undefined, releaseSoon: () => undefined, releaseAll: async () => undefined },
      keeper: { keep: () => undefined, used: () => undefined, stop: () => undefined },
      news: { speed: () => 1, emulated: () => ({}), freeDiskBytes: () => undefined },
      surroundings: {
        usage: { watch: () => ({ stop: () => ({}) }) },
        oomKills: async () => undefined,
        memoryIsShort: () => false,
        freeDiskBytes: async () => undefined,
      },
      missingPaths: () => [],
    },
  );
}

/** A home's end of a channel, and what came out of it. */
function homeOf(worker: Worker): { channel: WorkChannel<HomeMessage, WorkerMessage>; heard: string[] } {
  const [homeEnd, workerEnd] = memoryChannelPair<HomeMessage, WorkerMessage>();
  const heard: string[] = [];
  void worker.serve('h', workerEnd);
  void (async () => {
    for await (const { type } of homeEnd) heard.push(type);
  })();
  return { channel: homeEnd, heard };
}

const advertise = (sequence: number): HomeMessage => ({
  ...{ type: 'advertise', work: true, hungry: true, weight: 1, sequence },
});

test('a home whose agent began anew is served, though the end of its old channel was not noticed yet', async () => {
  const worker = newWorker();
  const before = homeOf(worker);
  await before.channel.send(advertise(7));
  await expect.poll(() => before.heard).toEqual(['worker', 'steal', 'steal']);

  const after = homeOf(worker);
  await after.channel.send(advertise(0));
  await expect.poll(() => after.heard).toEqual(['worker', 'steal', 'steal']);

  await before.channel.end();
  await after.channel.end();
  await worker.stop();
});
