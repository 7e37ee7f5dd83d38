import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, silentLogger, systemClock } from '@mesh/net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OfferKeeper } from './offer-keeper.ts';

let stateDir: string;
let wallMs: number;
let daemon: boolean;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'mesh-offer-'));
  daemon = true;
  wallMs = Date.parse('2026-11-22T10:00:00Z');
});
afterEach(() => rm(stateDir, { recursive: true, force: true }));

const keeper = (after: Clock['after'] = (ms, then) => systemClock.after(ms, then)) =>
  OfferKeeper.create(
    { stateDir, config: {}, slots: 4, cores: 4, memoryBytes: 2 ** 34 },
    {
      clock: { ...systemClock, now: () => wallMs, after },
      logger: silentLogger,
      load: async () => ({ memoryAvailableBytes: 2 ** 33, diskAvailableBytes: 2 ** 40 }),
      onMains: async () => true,
      daemonAnswers: async () => daemon,
      running: () => 0,
      peerIdsOf: () => [],
    },
  );

describe('a pause', () => {
  it('holds at once, outlives the agent, and ends when it is resumed', async () => {
    const first = await keeper();
    const told: (string | undefined)[] = [];
    first.start(({ closed }) => told.push(closed));
    await first.pause({ reason: 'talk' });
    first.stop();
    expect(told).toEqual(['paused by its owner (talk)']);
    const second = await keeper();
    expect(second.offer).toMatchObject({ otherSlots: 0, closed: 'paused by its owner (talk)' });
    expect(await second.resume()).toBe(true);
    expect(second.offer.closed).toBeUndefined();
    expect(await second.resume()).toBe(false);
    expect((await keeper()).offer.closed).toBeUndefined();
  });

  it('ends by itself when its time is up', async () => {
    const first = await keeper();
    await first.pause({ untilMs: wallMs + 60_000 });
    expect(first.offer.closed).toBe('paused by its owner until 2026-11-22T10:01:00.000Z');
    wallMs += 60_000;
    expect((await keeper()).offer.closed).toBeUndefined();
  });

  it('that cannot be read is said, not guessed', async () => {
    const path = join(stateDir, 'pause.json');
    await writeFile(path, '{"version":2}');
    await expect(keeper()).rejects.toMatchObject({ code: 'AGENT_BAD_STATE' });
    await writeFile(path, 'x'.repeat(10_000));
    await expect(keeper()).rejects.toThrow(`${path} cannot be read (it is 10000 characters long); remove it`);
    expect(await readFile(path, 'utf8')).toHaveLength(10_000);
  });
});

it('a nix-daemon that does not answer closes the offer until it does', async () => {
  const offers = await keeper((_ms, then) => systemClock.after(1, then));
  let looks = 0;
  offers.start(() => {
    looks += 1;
  });
  daemon = false;
  offers.daemonIsDown();
  expect(offers.offer).toMatchObject({ closed: 'its nix-daemon does not answer', capacity: { slots: 0 } });
  await vi.waitFor(() => expect(looks).toBeGreaterThan(3));
  expect(offers.offer.closed).toBe('its nix-daemon does not answer');
  daemon = true;
  await vi.waitFor(() => expect(offers.offer.closed).toBeUndefined());
  expect(offers.offer.capacity.slots).toBe(4);
  offers.stop();
});
