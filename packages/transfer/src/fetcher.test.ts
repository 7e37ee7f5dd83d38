import { describe, expect, test } from 'vitest';
import { MemoryLan } from './test-support/memory-net.ts';
import { narOf } from './test-support/memory-store.ts';
import { TestMember } from './test-support/test-member.ts';

/** Three members on one LAN: `alpha` and `beta` hold things, `gamma` wants them. */
function lanOfThree() {
  const lan = new MemoryLan();
  const [alpha, beta, gamma] = ['alpha', 'beta', 'gamma'].map((name) => new TestMember(lan, name));
  const stack = new AsyncDisposableStack();
  for (const member of [alpha!, beta!, gamma!]) stack.use(member);
  return {
    lan,
    alpha: alpha!,
    beta: beta!,
    gamma: gamma!,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

describe('fetching a closure', () => {
  test('brings the whole closure, references first, and only what is missing', async () => {
    await using lan = lanOfThree();
    const { alpha, gamma } = lan;
    const base = alpha.store.add('base');
    const lib = alpha.store.add('lib', [base]);
    const app = alpha.store.add('app', [base, lib]);
    gamma.store.add('base');
    const plans: number[][] = [];
    const result = await gamma.fetcher.fetchClosure([{ path: app, holders: [alpha.peerId] }], {
      onPlan: (paths, bytes) => plans.push([paths, bytes]),
    });
    const bytes = narOf('lib').length + narOf('app').length;
    expect(gamma.imported).toEqual([lib, app]);
    expect(plans).toEqual([[2, bytes]]);
    expect(result).toEqual({
      fetchedPaths: 2,
      fetchedBytes: bytes,
      sources: [{ peer: alpha.peerId, bytes }],
      resentBytes: 0,
    });
  });

  test('what is here already costs no question to anybody', async () => {
    await using lan = lanOfThree();
    const path = lan.gamma.store.add('here');
    const result = await lan.gamma.fetcher.fetchClosure([{ path, holders: [lan.alpha.peerId] }]);
    expect(result.fetchedPaths).toBe(0);
    expect(lan.alpha.narServer.connections).toBe(0);
  });

  test('a wide and deep closure arrives complete, each path once', async () => {
    await using lan = lanOfThree();
    const { alpha, gamma } = lan;
    let layer = [alpha.store.add('seed')];
    for (let depth = 0; depth < 12; depth += 1) {
      layer = Array.from({ length: 12 }, (_, index) => alpha.store.add(`p${depth}-${index}`, layer));
    }
    const wanted = layer.map((path) => ({ path, holders: [alpha.peerId] }));
    await gamma.fetcher.fetchClosure(wanted);
    expect(new Set(gamma.imported).size).toBe(145);
    expect(gamma.imported.length).toBe(145);
  });

  test('two paths from two holders, in one fetch', async () => {
    await using lan = lanOfThree();
    const { alpha, beta, gamma } = lan;
    const one = alpha.store.add('one');
    const two = beta.store.add('two');
    const result = await gamma.fetcher.fetchClosure([
      { path: one, holders: [alpha.peerId] },
      { path: two, holders: [beta.peerId] },
    ]);
    expect(new Map(result.sources.map(({ peer, bytes }) => [peer, bytes]))).toEqual(
      new Map([
        [alpha.peerId, narOf('one').length],
        [beta.peerId, narOf('two').length],
      ]),
    );
  });

  test('the same paths wanted twice at once come once', async () => {
    await using lan = lanOfThree();
    const { alpha, gamma } = lan;
    const base = alpha.store.add('base', [], 'x'.repeat(1_000_000));
    const [left, right] = [alpha.store.add('left', [base]), alpha.store.add('right', [base])];
    const fetch = (path: string) => gamma.fetcher.fetchClosure([{ path, holders: [alpha.peerId] }]);
    await Promise.all([fetch(left), fetch(right), fetch(left), fetch(base)]);
    expect(gamma.imported.toSorted()).toEqual([base, left, right].toSorted());
  });

  test('giving one of two fetches up does not harm the other', async () => {
    await using lan = lanOfThree();
    const { alpha, gamma } = lan;
    const path = alpha.store.add('big', [], 'x'.repeat(8_000_000));
    const giveUp = new AbortController();
    let second: Promise<unknown> | undefined;
    const first = gamma.fetcher.fetchClosure([{ path, holders: [alpha.peerId] }], {
      signal: giveUp.signal,
      onPlan: () => {
        second = gamma.fetcher.fetchClosure([{ path, holders: [alpha.peerId] }]);
        giveUp.abort(new Error('no longer wanted'));
      },
    });
    await expect(first).rejects.toThrow('no longer wanted');
    await second;
    expect(gamma.imported).toEqual([path]);
  });
});

describe('a holder', () => {
  test('that lacks the path is passed over for one that nobody named', async () => {
    await using lan = lanOfThree();
    const path = lan.beta.store.add('moved');
    await lan.gamma.fetcher.fetchClosure([{ path, holders: [lan.alpha.peerId] }]);
    expect(lan.gamma.imported).toEqual([path]);
    expect(lan.gamma.faults).toEqual([]);
  });

  test('whose NAR is not what it signed is dropped, reported, and replaced', async () => {
    await using lan = lanOfThree();
    const { alpha, beta, gamma } = lan;
    const path = alpha.store.add('tool');
    beta.store.add('tool');
    alpha.store.nars.set(path, narOf('evil'));
    await gamma.fetcher.fetchClosure([{ path, holders: [alpha.peerId, beta.peerId] }]);
    expect(gamma.store.nars.get(path)).toEqual(narOf('tool'));
    expect(gamma.faults).toEqual([
      {
        peerId: alpha.peerId,
        path,
        code: 'TRANSFER_BAD_HASH',
        message: `alpha sent something else than it promised for ${path}; it is not asked for this path again.`,
      },
    ]);
  });

  test('that built the path with other bits is as good as any: its own signature counts', async () => {
    await using lan = lanOfThree();
    const { alpha, beta, gamma } = lan;
    const path = alpha.store.add('stamp', [], 'built at noon');
    beta.store.add('stamp', [], 'built at six');
    alpha.store.nars.set(path, narOf('evil'));
    await gamma.fetcher.fetchClosure([{ path, holders: [alpha.peerId, beta.peerId] }]);
    expect(gamma.store.nars.get(path)).toEqual(narOf('built at six'));
  });

  test('that is no member any more is not believed', async () => {
    await using lan = lanOfThree();
    const { alpha, gamma } = lan;
    const path = alpha.store.add('tool');
    const fetching = gamma.fetcher.fetchClosure([{ path, holders: [alpha.peerId] }]);
    gamma.net.removed.add(alpha.peerId);
    await expect(fetching).rejects.toMatchObject({ code: 'TRANSFER_NO_SOURCE', paths: [path] });
    expect(gamma.imported).toEqual([]);
    expect(gamma.faults).toMatchObject([{ code: 'TRANSFER_BAD_SIGNATURE', peerId: alpha.peerId }]);
  });

  test('that vanishes in the middle is replaced', async () => {
    await using lan = lanOfThree();
    const { alpha, beta, gamma } = lan;
    const path = alpha.store.add('big', [], 'x'.repeat(8_000_000));
    beta.store.add('big', [], 'x'.repeat(8_000_000));
    await gamma.fetcher.fetchClosure([{ path, holders: [alpha.peerId] }], {
      onPlan: () => {
        lan.lan.leave(alpha.peerId);
      },
    });
    expect(gamma.imported).toEqual([path]);
    expect(beta.store.readNars).toEqual([path]);
  });

  test('is nobody: one sentence says which paths and why', async () => {
    await using lan = lanOfThree();
    const { alpha, gamma } = lan;
    const path = alpha.store.add('tool');
    alpha.store.nars.set(path, narOf('evil'));
    await expect(gamma.fetcher.fetchClosure([{ path, holders: [alpha.peerId] }])).rejects.toMatchObject({
      code: 'TRANSFER_NO_SOURCE',
      paths: [path],
      message:
        `No connected member could give ${path}: it has to be built again ` +
        `(alpha sent something else than it promised for ${path}; it is not asked for this path again.).`,
    });
    expect(gamma.store.infos.has(path)).toBe(false);
  });
});
