import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from './clock.ts';
import {
  CERTIFICATE_TTL_MS,
  PING_INTERVAL_MS,
  PROBE_LIMIT_MS,
  RECORD_MAX_INTERVAL_MS,
  RENEW_BEFORE_MS,
  SILENCE_LIMIT_MS,
  WATCH_INTERVAL_MS,
} from './constants.ts';
import type { MeshNet } from './mesh-net.ts';
import { allConnected, ManualClock, NetBed, SleepingClock, until } from './testing.ts';

let bed: NetBed;
let clock: SleepingClock;
let watcher: MeshNet;
let watched: MeshNet;
let down: string[];

/** A peer whose clock never moves never pings: connected, and silent. */
async function connect(watchedClock: ManualClock | undefined): Promise<void> {
  clock = new SleepingClock();
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

describe('a machine that slept', () => {
  it('gives up a member it does not hear of within five seconds of waking', async () => {
    await connect(new ManualClock());
    clock.asleepMs = 3_600_000;
    clock.pass(WATCH_INTERVAL_MS + PROBE_LIMIT_MS);
    expect(down).toEqual(['silent']);
    expect(WATCH_INTERVAL_MS + PROBE_LIMIT_MS).toBeLessThan(5_000);
  });

  it('keeps one it hears of', async () => {
    const watchedClock = new ManualClock();
    await connect(watchedClock);
    const sequence = () => watcher.members().find(({ self }) => !self)?.record?.sequence;
    const before = sequence();
    clock.asleepMs = 3_600_000;
    clock.pass(WATCH_INTERVAL_MS);
    clock.pass(1);
    watchedClock.pass(RECORD_MAX_INTERVAL_MS);
    await until('it is heard of', () => sequence() !== before);
    clock.pass(PROBE_LIMIT_MS);
    expect(down).toEqual([]);
  });
});

describe('a certificate', () => {
  it('is renewed by an admin long before it ends, once', async () => {
    const stateDir = await bed.stateDir();
    const [member, admin] = [await bed.up('member'), await bed.up('admin', { stateDir })];
    await member.join(admin.invite());
    await allConnected([admin, member]);
    await bed.down(admin);
    let renewals = 0;
    member.events.on('membership', () => renewals++);

    const passed = CERTIFICATE_TTL_MS - RENEW_BEFORE_MS + 60_000;
    const clock = { ...systemClock, now: () => systemClock.now() + passed };
    const later = await bed.up('admin', { stateDir, clock, peers: member.addresses() });
    await until('the new certificate arrived', () => renewals === 1);
    await bed.down(later);
    const again = await bed.up('admin', { stateDir, clock, peers: member.addresses() });
    await allConnected([again, member]);
    expect(renewals).toBe(1);
  });
});
