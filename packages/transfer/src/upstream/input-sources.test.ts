import { silentLogger } from '@mesh/net';
import { describe, expect, test } from 'vitest';
import type { FetchProgress } from '../fetch-progress.ts';
import { MeasuredSourceRates, UPSTREAM } from '../source-rates.ts';
import { MemoryLan } from '../test-support/memory-net.ts';
import { MemoryStore, narOf } from '../test-support/memory-store.ts';
import { MemoryUpstream } from '../test-support/memory-upstream.ts';
import { TestMember } from '../test-support/test-member.ts';
import { whoHas } from '../who-has.ts';
import { InputSources } from './input-sources.ts';

/** `alpha` and the substituter `cache` hold things, `beta` wants them. */
function scene() {
  const lan = new MemoryLan();
  const [alpha, beta] = [new TestMember(lan, 'alpha'), new TestMember(lan, 'beta')];
  const cache = new MemoryStore();
  const upstream = new MemoryUpstream(cache, beta.store);
  const rates = new MeasuredSourceRates();
  let nowMs = 0;
  const sources = new InputSources({
    fetcher: beta.fetcher,
    upstream,
    rates,
    net: beta.net,
    whoHas: (paths, options) =>
      whoHas(paths, { net: beta.net, client: beta.client, logger: silentLogger }, options),
    logger: silentLogger,
    now: () => (nowMs += 1_000),
  });
  const stack = new AsyncDisposableStack();
  for (const member of [alpha, beta]) stack.use(member);
  const slowLan = () => {
    for (let i = 0; i < 30; i += 1) rates.observed(alpha.peerId, 1_000_000, 100_000);
  };
  return {
    alpha,
    beta,
    cache,
    upstream,
    rates,
    sources,
    slowLan,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

describe('inputs', () => {
  test('that only a substituter has come from there, with all they refer to', async () => {
    await using here = scene();
    const libc = here.cache.add('libc');
    const gcc = here.cache.add('gcc', [libc]);
    const result = await here.sources.fetchClosure([{ path: gcc, holders: [], upstream: true }]);
    const bytes = narOf('libc').length + narOf('gcc').length;
    expect(result).toEqual({ fetchedPaths: 2, fetchedBytes: bytes, sources: [{ peer: UPSTREAM, bytes }] });
    expect(here.beta.imported).toEqual([]);
  });

  test('that were built for a job are not asked of substituters', async () => {
    await using here = scene();
    const path = here.alpha.store.add('built');
    await here.sources.fetchClosure([{ path, holders: [here.alpha.peerId] }]);
    expect(here.upstream.asked).toEqual([]);
  });

  test('that a member on a fast LAN has come from there, and no substituter is asked', async () => {
    await using here = scene();
    const path = here.alpha.store.add('gcc');
    here.cache.add('gcc');
    await here.sources.fetchClosure([{ path, holders: [here.alpha.peerId], upstream: true }]);
    expect(here.beta.imported).toEqual([path]);
    expect(here.upstream.asked).toEqual([]);
  });

  test('that a member has come from a substituter where the LAN was measured to be slower', async () => {
    await using here = scene();
    const contents = 'x'.repeat(1_000_000);
    const path = here.alpha.store.add('gcc', [], contents);
    here.cache.add('gcc', [], contents);
    here.slowLan();
    const result = await here.sources.fetchClosure([{ path, holders: [here.alpha.peerId], upstream: true }]);
    expect(result.sources.map(({ peer }) => peer)).toEqual([UPSTREAM]);
  });

  test('that another member fetched in the meantime come from there', async () => {
    await using here = scene();
    const contents = 'x'.repeat(1_000_000);
    const path = here.alpha.store.add('gcc', [], contents);
    here.cache.add('gcc', [], contents);
    await here.sources.fetchClosure([{ path, holders: [], upstream: true }]);
    expect(here.upstream.fetched).toEqual([]);
    expect(here.beta.imported).toEqual([path]);
  });

  test('come from both sides at once, and what both need comes once', async () => {
    await using here = scene();
    const libc = here.cache.add('libc');
    here.alpha.store.add('libc');
    const gcc = here.cache.add('gcc', [libc]);
    const built = here.alpha.store.add('built', [libc]);
    const result = await here.sources.fetchClosure([
      { path: built, holders: [here.alpha.peerId] },
      { path: gcc, holders: [], upstream: true },
    ]);
    expect(result.fetchedPaths).toBe(3);
    expect((await here.beta.store.validPaths([libc, gcc, built])).size).toBe(3);
  });

  test('that a substituter offers and does not give come from a member', async () => {
    await using here = scene();
    const contents = 'x'.repeat(1_000_000);
    const path = here.alpha.store.add('gcc', [], contents);
    here.cache.add('gcc', [], contents);
    here.slowLan();
    here.upstream.broken.add(path);
    await here.sources.fetchClosure([{ path, holders: [here.alpha.peerId], upstream: true }]);
    expect(here.beta.imported).toEqual([path]);
  });

  test('that no member has any more come from a substituter', async () => {
    await using here = scene();
    const path = here.cache.add('gcc');
    const result = await here.sources.fetchClosure([{ path, holders: [here.alpha.peerId], upstream: true }]);
    expect(result.sources.map(({ peer }) => peer)).toEqual([UPSTREAM]);
  });

  test('that neither has are named, all of them', async () => {
    await using here = scene();
    const [lost, broken] = ['/nix/store/00000000000000000000000000000000-lost', here.cache.add('broken')];
    const gcc = here.cache.add('gcc');
    here.upstream.broken.add(broken);
    const fetching = here.sources.fetchClosure(
      [lost, broken, gcc].map((path) => ({ path, holders: [], upstream: true })),
    );
    await expect(fetching).rejects.toMatchObject({ code: 'TRANSFER_NO_SOURCE' });
    const again = here.sources.fetchClosure([
      { path: lost, holders: [here.alpha.peerId], upstream: true },
      { path: broken, holders: [here.alpha.peerId], upstream: true },
    ]);
    await expect(again).rejects.toMatchObject({ paths: [lost, broken] });
  });

  test('teach how fast substituters are', async () => {
    await using here = scene();
    const path = here.cache.add('big', [], 'x'.repeat(2_000_000));
    const before = here.rates.rateOf(UPSTREAM);
    await here.sources.fetchClosure([{ path, holders: [], upstream: true }]);
    expect(here.rates.rateOf(UPSTREAM)).toBeLessThan(before);
  });

  test('tell of both sides as of one', async () => {
    await using here = scene();
    const gcc = here.cache.add('gcc');
    const built = here.alpha.store.add('built');
    const plans: number[] = [];
    const told: FetchProgress[] = [];
    await here.sources.fetchClosure(
      [
        { path: built, holders: [here.alpha.peerId] },
        { path: gcc, holders: [], upstream: true },
      ],
      { onPlan: (paths) => plans.push(paths), onProgress: (progress) => told.push(progress) },
    );
    expect(plans.at(-1)).toBe(2);
  });
});
