import { ManualClock } from '@mesh/net/testing';
import { DaemonClient } from '@mesh/nix';
import { expect, test } from 'vitest';
import { greeting, LAST, scriptedDaemon } from '../../../nix/src/daemon/testing/scripted-daemon.ts';
import { wire } from '../../../nix/src/daemon/testing/wire-bytes.ts';
import { IDLE_BUILD_CONNECTION_MS, KEEP_DELAY_MS } from '../constants.ts';
import { BuildConnections } from './build-connections.ts';

const OPTIONS = { maxBuildJobs: 1 };
/** A daemon that takes as many options as a test sets. */
const daemonThatListens = () => scriptedDaemon(Buffer.concat([greeting(38), wire(LAST, LAST, LAST)]));

test('a connection is kept for the next build, and for what it built until that is rooted elsewhere', async () => {
  await using daemon = await daemonThatListens();
  const clock = new ManualClock();
  const connections = new BuildConnections(clock, () =>
    DaemonClient.connect({ socketPath: daemon.socketPath }),
  );
  const first = await connections.take(OPTIONS);
  connections.giveBack(first);
  expect(await connections.take(OPTIONS)).toBe(first);
  // A build of two minutes.
  clock.pass(120_000);
  connections.giveBack(first);
  clock.pass(KEEP_DELAY_MS);
  expect(first.client.closed).toBe(false);
  expect(await connections.take(OPTIONS)).not.toBe(first);
  clock.pass(IDLE_BUILD_CONNECTION_MS);
  expect(first.client.closed).toBe(true);
  connections.close();
});

test('in the end all are closed, those too that are too old for another build', async () => {
  await using daemon = await daemonThatListens();
  const clock = new ManualClock();
  const connections = new BuildConnections(clock, () =>
    DaemonClient.connect({ socketPath: daemon.socketPath }),
  );
  const [old, young] = [await connections.take(OPTIONS), await connections.take(OPTIONS)];
  connections.giveBack(young);
  clock.pass(4_000);
  const lent = await connections.take(OPTIONS);
  clock.pass(120_000);
  connections.giveBack(old);
  connections.giveBack(lent);
  connections.close();
  expect([old, lent].map(({ client }) => client.closed)).toEqual([true, true]);
});
