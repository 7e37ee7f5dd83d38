import type { Connection } from '@libp2p/interface';
import { describe, expect, it } from 'vitest';
import { REDIAL_FIRST_MS, REDIAL_LAST_MS } from './constants.ts';
import { Dialer } from './dialer.ts';
import { silentLogger } from './logger.ts';
import { ManualClock } from './testing.ts';

const ADDRESS = '/ip4/10.0.0.1/tcp/4747';
const settled = () => new Promise((resolve) => setImmediate(resolve));

function dialing(options: { wanted?: boolean } = {}) {
  const clock = new ManualClock();
  const attempts: { at: number; peerId: string | undefined; addresses: string[] }[] = [];
  let reachable = false;
  const connected = new Set<string>();
  const dialer = new Dialer({
    clock,
    logger: silentLogger,
    random: () => 0.5,
    isConnected: (peerId) => connected.has(peerId),
    isWanted: () => options.wanted ?? true,
    connect: async (peerId, addresses) => {
      attempts.push({ at: clock.monotonic(), peerId, addresses });
      if (!reachable) throw new Error('nobody there');
      connected.add(peerId ?? 'found');
      return { remotePeer: { toString: () => 'found' } } as Connection;
    },
  });
  dialer.start();
  const run = async (ms: number, step = 50) => {
    for (let passed = 0; passed < ms; passed += step) {
      clock.pass(step);
      await settled();
    }
  };
  return { dialer, attempts, connected, run, reach: () => (reachable = true) };
}

describe('dialling', () => {
  it('tries again after pauses that double, up to half a minute', async () => {
    const { dialer, attempts, run } = dialing();
    dialer.know('ann', [ADDRESS]);
    const step = 50;
    await run(120_000, step);
    const pauses = attempts.slice(1).map(({ at }, i) => at - attempts[i]!.at);
    for (const [i, pause] of pauses.entries()) {
      const expected = Math.min(REDIAL_LAST_MS, REDIAL_FIRST_MS * 2 ** i);
      expect(pause).toBeGreaterThanOrEqual(expected);
      expect(pause).toBeLessThanOrEqual(expected + step);
    }
    expect(pauses.length).toBeGreaterThan(8);
  });

  it('stops while connected and begins anew, at once, when the connection is lost', async () => {
    const { dialer, attempts, connected, run, reach } = dialing();
    reach();
    dialer.know('ann', [ADDRESS]);
    await run(60_000, 500);
    expect(attempts).toHaveLength(1);
    connected.clear();
    dialer.urge('ann');
    await run(50);
    expect(attempts).toHaveLength(2);
  });

  it('does not wait out its pause for a peer that was just seen', async () => {
    const { dialer, attempts, run } = dialing();
    dialer.know('ann', [ADDRESS]);
    await run(20_000);
    const before = attempts.length;
    dialer.urge('ann');
    await run(50);
    expect(attempts).toHaveLength(before + 1);
  });

  it('gives up peers that are no members, but never an address given by hand', async () => {
    const { dialer, attempts, run } = dialing({ wanted: false });
    dialer.know('stranger', [ADDRESS]);
    await run(1_000);
    expect(attempts).toHaveLength(0);
    dialer.addManual(ADDRESS);
    await run(1_000);
    expect(attempts.length).toBeGreaterThan(1);
  });

  it('leaves a peer alone while somebody else dials it, by whatever name it is known', async () => {
    const { dialer, attempts, run } = dialing();
    dialer.addManual(ADDRESS);
    dialer.know('ann', []);
    const held = await dialer.hold('ann', [ADDRESS]);
    dialer.know('ann', ['/ip4/10.0.0.9/tcp/1']);
    dialer.urge();
    await run(60_000, 500);
    expect(attempts).toHaveLength(0);
    held[Symbol.dispose]();
    await run(50);
    expect(attempts).toHaveLength(2);
  });

  it('says what the last attempt ran into, until one succeeds', async () => {
    const { dialer, run, reach } = dialing();
    dialer.know('ann', [ADDRESS]);
    await run(1_000);
    expect(dialer.faultOf('ann')).toBe('nobody there');
    reach();
    await run(30_000);
    expect(dialer.faultOf('ann')).toBeUndefined();
  });

  it('takes whoever answers at an address given by hand, also another one than before', async () => {
    const { dialer, attempts, connected, run, reach } = dialing();
    reach();
    dialer.addManual(ADDRESS);
    await run(10_000, 500);
    expect(attempts.map(({ peerId }) => peerId)).toEqual([undefined]);
    connected.clear();
    dialer.urge('found');
    await run(10_000, 500);
    expect(attempts.map(({ peerId }) => peerId)).toEqual([undefined, undefined]);
  });

  it('tries the newest addresses first, and only so many', async () => {
    const { dialer, attempts, run } = dialing();
    for (let i = 0; i < 20; i++) dialer.know('ann', [`/ip4/10.0.0.${i}/tcp/1`]);
    await run(50);
    expect(attempts[0]?.addresses).toHaveLength(8);
    expect(attempts[0]?.addresses[0]).toBe('/ip4/10.0.0.19/tcp/1');
  });
});
