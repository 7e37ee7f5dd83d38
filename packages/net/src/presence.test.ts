import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PING_INTERVAL_MS, SILENCE_LIMIT_MS } from './constants.ts';
import type { MeshNet } from './mesh-net.ts';
import { allConnected, ManualClock, NetBed, until } from './testing.ts';

let bed: NetBed;
let clock: ManualClock;
let watcher: MeshNet;
let watched: MeshNet;
let down: string[];

/** A peer whose clock never moves never pings: connected, and silent. */
async function connect(watchedClock: ManualClock | undefined): Promise<void> {
  clock = new ManualClock();
  watcher = await bed.up('watcher', { clock });
  watched = await bed.up('watched', watchedClock === undefined ? {} : { clock: watchedClock });
  await watched.join(watcher.invite());
  await allConnected([watcher, watched]);
  await until('its record has come', () => watcher.members().every(({ record }) => record !== undefined));
  down = [];
  watcher.events.on('member-down', (_peerId, reason) => down.push(reason));
}

beforeEach(() => {
  bed = new NetBed();
});
afterEach(() => bed[Symbol.asyncDispose]());

describe('a silent member', () => {
  it('is down within ten seconds, and not before eight', async () => {
    await connect(new ManualClock());
    clock.pass(SILENCE_LIMIT_MS - 1);
    expect(down).toEqual([]);
    clock.pass(PING_INTERVAL_MS);
    expect(down).toEqual(['silent']);
    expect(watcher.connectedMembers()).toEqual([]);
    expect(SILENCE_LIMIT_MS + PING_INTERVAL_MS).toBeLessThanOrEqual(10_000);
  });

  it('is not held to account for the time in which this process itself did not run', async () => {
    await connect(new ManualClock());
    clock.stall(60_000);
    expect(down).toEqual([]);
    // Its first ping was due two seconds in; those it was not heard of, but no more.
    clock.pass(SILENCE_LIMIT_MS - PING_INTERVAL_MS - 1);
    expect(down).toEqual([]);
    clock.pass(PING_INTERVAL_MS);
    expect(down).toEqual(['silent']);
  });
});
