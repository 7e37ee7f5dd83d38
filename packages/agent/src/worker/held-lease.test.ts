import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger, systemClock } from '@mesh/net';
import { DaemonClient } from '@mesh/nix';
import type { LeaseMessage } from '@mesh/wire';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BuildConnections } from './build-connections.ts';
import { HeldLease } from './held-lease.ts';

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => void process.on('unhandledRejection', note));
afterEach(() => void process.off('unhandledRejection', note));

const message: LeaseMessage = {
  ...{ type: 'lease', lease: 'l-1', attempt: 1, kind: 'derivation', request: 'r-1', job: 'job-1' },
  drvPath: '/nix/store/00000000000000000000000000000000-a.drv',
  derivation: new TextEncoder().encode(
    'Derive([("out","/nix/store/00000000000000000000000000000000-a","","")],[],[],"x86_64-linux","/bin/sh",[],[])',
  ),
  ...{ inputs: [], method: 'build', ahead: false, cores: 1, memoryBytes: 0, outputBytes: 0 },
  ...{ expectedMs: 0, race: false, leaseMs: 10_000 },
};

/** A lease on a machine without a nix-daemon, whose disk takes its time to say what is free. */
function leaseOf(message: LeaseMessage): HeldLease {
  return new HeldLease('home', message, {
    clock: systemClock,
    logger: silentLogger,
    fetcher: { fetchClosure: async () => ({ sources: [] }), prepare: () => undefined },
    connections: new BuildConnections(systemClock, () =>
      DaemonClient.connect({ socketPath: '/nonexistent/nix-daemon.sock' }),
    ),
    surroundings: {
      usage: { watch: () => ({ stop: () => ({}) }) },
      oomKills: async () => undefined,
      memoryIsShort: () => false,
      freeDiskBytes: () => sleep(20, undefined),
    },
    settings: { cores: 0, maxSilentTimeSeconds: 0, timeoutSeconds: 0, overrides: {} },
    delivering: () => undefined,
    tell: async () => undefined,
  });
}

test('a nix-daemon that is down before the disk has said what is free fails the lease, and nothing but the lease', async () => {
  await expect(leaseOf(message).fetch()).rejects.toMatchObject({ code: 'NIX_DAEMON_UNREACHABLE' });
  expect(unhandled).toEqual([]);
});

test('a derivation that cannot be read fails the lease, and nothing but the lease', async () => {
  const unreadable = { ...message, derivation: new TextEncoder().encode('Derive(') };
  await expect(leaseOf(unreadable).fetch()).rejects.toMatchObject({ code: 'NIX_BAD_DERIVATION' });
  expect(unhandled).toEqual([]);
});
