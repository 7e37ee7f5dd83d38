import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryLan } from '../test-support/memory-net.ts';
import type { MemoryStore } from '../test-support/memory-store.ts';
import { TestMember } from '../test-support/test-member.ts';
import type { RootConnection } from './temp-roots.ts';

let lan: MemoryLan;
let alpha: TestMember;
let beta: TestMember;
let told: string[];
/** What each member has rooted, and what happens at the very moment before. */
let rooted: Map<TestMember, Set<string>>;
let beforeRooting: (paths: ReadonlySet<string>) => void;

beforeEach(() => {
  lan = new MemoryLan();
  told = [];
  rooted = new Map();
  beforeRooting = () => undefined;
  alpha = member('alpha');
  beta = member('beta');
});
afterEach(async () => {
  await alpha[Symbol.asyncDispose]();
  await beta[Symbol.asyncDispose]();
});

function member(name: string): TestMember {
  const made: TestMember = new TestMember(lan, name, {
    onTold: (paths) => told.push(...paths),
    connect: async () => rootsIn(made.store, made),
  });
  rooted.set(made, new Set());
  return made;
}

function rootsIn(store: MemoryStore, of: TestMember): RootConnection {
  return {
    closed: false,
    close: () => undefined,
    keepAlive: () => undefined,
    addTempRoots: async (paths) => {
      beforeRooting(new Set(paths));
      for (const path of paths) rooted.get(of)!.add(path);
    },
    queryValidPaths: async (paths) => store.validPaths([...paths]),
  };
}

test('what a member tells of it has rooted, and what was collected before that it does not tell', async () => {
  const lib = alpha.store.add('lib');
  const app = alpha.store.add('app', [lib]);
  const gone = alpha.store.add('gone');
  beforeRooting = () => alpha.store.remove(gone);
  const pages = await beta.client.closureInfos(alpha.peerId, [app, gone]);
  expect(pages.flatMap(({ infos }) => infos).map(({ path }) => path)).toEqual([lib, app]);
  // With it, all it refers to is kept.
  expect(rooted.get(alpha)).toContain(app);
  expect(told.toSorted()).toEqual([app, lib].toSorted());
});

test('a path that a fetch left out because it was here, and that was collected meanwhile, is fetched too', async () => {
  const base = beta.store.add('base');
  alpha.store.add('base');
  const app = alpha.store.add('app', [base]);
  let collections = 0;
  beforeRooting = (paths) => {
    if (!paths.has(base) || collections > 0) return;
    collections += 1;
    beta.store.remove(base);
  };
  await beta.fetcher.fetchClosure([{ path: app, holders: [alpha.peerId] }]);
  expect(collections).toBe(1);
  expect(beta.imported).toEqual([base, app]);
  expect(rooted.get(beta)).toEqual(new Set([app, base]));
});
