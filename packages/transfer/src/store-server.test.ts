import { parseStorePath } from '@mesh/nix';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hostsOf } from './net.ts';
import { MemoryLan } from './test-support/memory-net.ts';
import { storePathOf } from './test-support/memory-store.ts';
import { TestMember } from './test-support/test-member.ts';
import { whoHas } from './who-has.ts';

let lan: MemoryLan;
let alpha: TestMember;
let beta: TestMember;

beforeEach(() => {
  lan = new MemoryLan();
  alpha = new TestMember(lan, 'alpha');
  beta = new TestMember(lan, 'beta');
});
afterEach(async () => {
  await alpha[Symbol.asyncDispose]();
  await beta[Symbol.asyncDispose]();
});

const logger = { debug: () => undefined };

test('a member tells which paths it has, more than fit into one message', async () => {
  const held = Array.from({ length: 9_000 }, (_, index) => storePathOf(`p${index}`));
  for (const path of held.slice(0, 4_500))
    alpha.store.infos.set(path, { ...alpha.store.infos.get(path)!, path });
  const valid = await beta.client.have(alpha.peerId, held);
  expect(valid.size).toBe(4_500);
});

test('a closure of more infos than fit into one message comes in pages, references first', async () => {
  let last: string[] = [];
  for (let index = 0; index < 3_000; index += 1) last = [alpha.store.add(`link-${index}`, last)];
  const infos = (await beta.client.closureInfos(alpha.peerId, last)).flatMap((page) => page.infos);
  expect(infos.length).toBe(3_000);
  expect(infos[0]?.references).toEqual([]);
  expect(infos.at(-1)?.path).toBe(last[0]);
});

test('paths are described by their hash parts alone, without what they refer to', async () => {
  const lib = alpha.store.add('lib');
  const app = alpha.store.add('app', [lib]);
  const absent = parseStorePath(storePathOf('absent')).hashPart;
  const infos = await beta.client.pathInfos(alpha.peerId, [parseStorePath(app).hashPart, absent]);
  expect(infos.map(({ path, references }) => [path, references])).toEqual([[app, [lib]]]);
  expect(infos[0]?.signatures[0]).toContain(alpha.peerId);
  alpha.store.remove(app);
  expect(await beta.client.pathInfos(alpha.peerId, [parseStorePath(app).hashPart])).toEqual([]);
});

test('what is excluded is left out with all that only it needs', async () => {
  const base = alpha.store.add('base');
  const lib = alpha.store.add('lib', [base]);
  const app = alpha.store.add('app', [lib]);
  const pages = await beta.client.closureInfos(alpha.peerId, [app], { exclude: [lib] });
  expect(pages.flatMap(({ infos }) => infos).map(({ path }) => path)).toEqual([app]);
});

test('a root that was deleted since it was last told of is not told of again', async () => {
  const app = alpha.store.add('app');
  expect(await beta.client.closureInfos(alpha.peerId, [app])).toMatchObject([{ infos: [{ path: app }] }]);
  alpha.store.remove(app);
  expect(await beta.client.closureInfos(alpha.peerId, [app])).toMatchObject([{ infos: [] }]);
});

test('many questions at once over one stream all get their own answer', async () => {
  const paths = Array.from({ length: 200 }, (_, index) => alpha.store.add(`p${index}`));
  const answers = await Promise.all(paths.map((path) => beta.client.have(alpha.peerId, [path])));
  expect(answers.map((answer) => [...answer])).toEqual(paths.map((path) => [path]));
  expect(lan.links.size).toBe(2);
});

test('a question to a peer that is gone fails in a sentence; after its return the next one succeeds', async () => {
  const path = alpha.store.add('app');
  expect((await beta.client.have(alpha.peerId, [path])).size).toBe(1);
  const node = lan.nodes.get(alpha.peerId)!;
  lan.leave(alpha.peerId);
  await expect(beta.client.have(alpha.peerId, [path])).rejects.toMatchObject({
    code: 'TRANSFER_PEER_LOST',
    peerId: alpha.peerId,
  });
  lan.nodes.set(alpha.peerId, node);
  expect((await beta.client.have(alpha.peerId, [path])).size).toBe(1);
});

test('giving a question up does not disturb the next one', async () => {
  const path = alpha.store.add('app');
  const signal = AbortSignal.abort(new Error('never mind'));
  await expect(beta.client.have(alpha.peerId, [path], { signal })).rejects.toThrow('never mind');
  expect((await beta.client.have(alpha.peerId, [path])).size).toBe(1);
});

test('everybody is asked at once who has what, and a mute member is not waited for', async () => {
  const gamma = lan.join('12D3KooWMute', 'mute');
  gamma.handlers.set('/mesh/store/1.0.0', () => new Promise(() => undefined));
  const [one, two] = [alpha.store.add('one'), alpha.store.add('two')];
  beta.store.add('one');
  const asker = new TestMember(lan, 'asker');
  const holders = await whoHas([one, two, storePathOf('none')], {
    net: asker.net,
    client: asker.client,
    logger,
  });
  expect(new Map([...holders].map(([path, peers]) => [path, new Set(peers)]))).toEqual(
    new Map([
      [one, new Set([alpha.peerId, beta.peerId])],
      [two, new Set([alpha.peerId])],
    ]),
  );
  await asker[Symbol.asyncDispose]();
});

test('a side channel is looked for where the peer is connected, then where it says it is', () => {
  const addresses = ['/ip4/10.0.0.5/tcp/4747', '/ip6/fe80::1/tcp/4747', '/dns4/alpha/tcp/4747'];
  const net = {
    remoteHost: (): string | undefined => '10.0.0.9',
    members: () => [{ peerId: 'a', name: 'a', roles: [], self: false, connected: true, addresses }],
  };
  expect(hostsOf(net, 'a')).toEqual(['10.0.0.9', '10.0.0.5', 'fe80::1']);
  expect(hostsOf({ ...net, remoteHost: () => undefined }, 'b')).toEqual([]);
});
