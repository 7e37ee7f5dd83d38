import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { generateIdentity, silentLogger } from '@mesh/net';
import {
  fingerprintOf,
  parseNarInfo,
  parsePublicKey,
  parseStorePath,
  signingKeyFromSeed,
  verifySignature,
} from '@mesh/nix';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TransferError } from '../errors.ts';
import { agentVouchers, signingKeyName } from '../path-info-verification.ts';
import { StoreClient } from '../store-client.ts';
import { memoryNars } from '../test-support/memory-nars.ts';
import { MemoryLan, type MemoryNode } from '../test-support/memory-net.ts';
import { MemoryStore, storePathOf } from '../test-support/memory-store.ts';
import { TestMember } from '../test-support/test-member.ts';
import { PathFinder } from './path-finder.ts';
import { Substituter } from './substituter.ts';

const upstream = signingKeyFromSeed('cache.example-1', Buffer.alloc(32, 7));

let lan: MemoryLan;
let alpha: TestMember;
let beta: TestMember;
let node: MemoryNode;
let own: MemoryStore;
let substituter: Substituter;
let faults: TransferError[];
let absences: number;
let goneParts: string[];
let nowMs: number;
let signingKey: ReturnType<typeof signingKeyFromSeed>;

beforeEach(async () => {
  lan = new MemoryLan();
  alpha = new TestMember(lan, 'alpha');
  beta = new TestMember(lan, 'beta');
  const identity = generateIdentity();
  node = lan.join(identity.peerId, 'here');
  own = new MemoryStore();
  faults = [];
  absences = 0;
  goneParts = [];
  nowMs = 0;
  signingKey = signingKeyFromSeed(signingKeyName(identity.peerId), identity.seed);
  const client = new StoreClient(node);
  const finder = new PathFinder({
    net: node,
    store: own,
    client,
    holders: { of: () => [], ofHash: () => [], unknown: () => node.connectedMembers() },
    vouchers: agentVouchers(identity.peerId, node, [upstream.publicKey]),
    signingKey,
    onBadPeer: (fault) => faults.push(fault),
    logger: silentLogger,
    now: () => nowMs,
  });
  const stores = new Map([alpha, beta].map((member) => [member.peerId, member.store]));
  substituter = new Substituter(
    { port: 0, priority: 30 },
    {
      finder,
      nars: memoryNars(own, stores),
      label: (peerId) => client.label(peerId),
      bestFirst: (holders) => holders,
      onAbsent: (gone) => {
        absences += 1;
        if (gone !== undefined) goneParts.push(gone);
      },
      logger: silentLogger,
    },
  );
  await substituter.start();
});
afterEach(async () => {
  await substituter.stop();
  await alpha[Symbol.asyncDispose]();
  await beta[Symbol.asyncDispose]();
});

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

function ask(
  path: string,
  options: { method?: string; headers?: Record<string, string>; agent?: Agent } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${substituter.url}${path}`, options, (response) => {
      text(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        reject,
      );
    });
    request.on('error', reject).end();
  });
}

const narInfoOf = (path: string) => `/${parseStorePath(path).hashPart}.narinfo`;
const narOf = async (path: string) => `/${parseNarInfo((await ask(narInfoOf(path))).body).url}`;
const bytesOf = (store: MemoryStore, path: string) => Buffer.from(store.nars.get(path)!).toString();

test('it says what store it is of, and that it may be asked for many paths at once', async () => {
  const { status, body } = await ask('/nix-cache-info');
  expect(status).toBe(200);
  expect(body).toBe('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n');
});

describe('a path', () => {
  test('of a member is described with its signature and this machine’s own, and sent', async () => {
    const lib = alpha.store.add('lib');
    const app = alpha.store.add('app', [lib], 'text of app');
    const { status, headers, body } = await ask(narInfoOf(app));
    expect([status, headers['content-type']]).toEqual([200, 'text/x-nix-narinfo']);
    const info = parseNarInfo(body);
    expect(info).toMatchObject({ path: app, references: [lib], compression: 'none' });
    const { key } = parsePublicKey(signingKey.publicKey);
    expect(info.signatures[0]).toContain(signingKey.name);
    expect(verifySignature(fingerprintOf(info), info.signatures[0]!, key)).toBe(true);
    expect(info.signatures[1]).toContain(alpha.peerId);
    const nar = await ask(`/${info.url}`);
    expect(nar.headers['content-length']).toBe(String(info.narSize));
    expect(nar.body).toBe(bytesOf(alpha.store, app));
  });

  test('of this machine itself is served without asking anybody', async () => {
    const path = own.add('mine');
    expect((await ask(await narOf(path))).body).toBe(bytesOf(own, path));
    expect(lan.links.size).toBe(0);
  });

  test('keeps the signatures it came with from elsewhere, unchanged', async () => {
    const path = alpha.store.add('upstream');
    const info = alpha.store.infos.get(path)!;
    const signatures = [upstream.sign(fingerprintOf(info)), 'other-1:AAAA'];
    alpha.store.infos.set(path, { ...info, signatures });
    expect(parseNarInfo((await ask(narInfoOf(path))).body).signatures).toEqual(
      expect.arrayContaining(signatures),
    );
  });

  test('that nobody has is not there, which nobody may remember; as soon as a member has it, it is', async () => {
    const later = storePathOf('later');
    const { status, headers } = await ask(narInfoOf(later));
    expect([status, headers['cache-control']]).toEqual([404, 'no-store']);
    expect(absences).toBe(1);
    beta.store.add('later');
    expect((await ask(narInfoOf(later))).status).toBe(200);
  });

  test('whose holder left is found at another', async () => {
    const path = alpha.store.add('twice');
    const nar = await narOf(path);
    beta.store.add('twice');
    lan.leave(alpha.peerId);
    expect((await ask(nar)).body).toBe(bytesOf(beta.store, path));
  });

  test('that was collected meanwhile is not there, and found anew once it is back', async () => {
    const path = alpha.store.add('collected');
    const nar = await narOf(path);
    alpha.store.remove(path);
    expect((await ask(nar)).status).toBe(404);
    expect(goneParts).toEqual([parseStorePath(path).hashPart]);
    expect((await ask(narInfoOf(path))).status).toBe(404);
    alpha.store.add('collected');
    expect((await ask(nar)).status).toBe(200);
  });

  test('is asked for again only after a while', async () => {
    const path = alpha.store.add('known');
    for (let time = 0; time < 5; time += 1) await ask(narInfoOf(path));
    expect(substituter.counters).toMatchObject({ found: 1, known: 4 });
    nowMs = 3_600_000;
    await ask(narInfoOf(path));
    expect(substituter.counters).toMatchObject({ found: 2, known: 4 });
  });
});

describe('what cannot be believed', () => {
  test('is not told of: a member that may not build describes what nobody else vouches for', async () => {
    lan.nodes.get(alpha.peerId)!.roles = ['submit'];
    const path = alpha.store.add('own-word');
    expect((await ask(narInfoOf(path))).status).toBe(404);
    expect((await ask(narInfoOf(path))).status).toBe(404);
    expect(faults.map(({ code, peerId }) => [code, peerId])).toEqual([
      ['TRANSFER_BAD_SIGNATURE', alpha.peerId],
    ]);
  });

  test('is told of and signed where it came with a signature that this machine’s Nix trusts', async () => {
    lan.nodes.get(alpha.peerId)!.roles = ['submit'];
    const path = alpha.store.add('from-upstream');
    const info = alpha.store.infos.get(path)!;
    alpha.store.infos.set(path, { ...info, signatures: [upstream.sign(fingerprintOf(info))] });
    const { signatures } = parseNarInfo((await ask(narInfoOf(path))).body);
    expect(signatures).toEqual([signingKey.sign(fingerprintOf(info)), upstream.sign(fingerprintOf(info))]);
  });

  test.each([
    ['the whole', {}],
    ['a part', { headers: { range: 'bytes=10-20' } }],
  ])('never arrives: %s of other bytes than described', async (_, options) => {
    const path = alpha.store.add('spoilt', [], 'x'.repeat(200_000));
    const nar = await narOf(path);
    const bytes = Buffer.from(alpha.store.nars.get(path)!);
    bytes[150_000] = 0;
    alpha.store.nars.set(path, bytes);
    const arrived = await ask(nar, options).then(
      ({ status }) => status < 300,
      () => false,
    );
    expect(arrived).toBe(false);
    expect(faults.map(({ code, peerId }) => [code, peerId])).toEqual([['TRANSFER_BAD_HASH', alpha.peerId]]);
    expect((await ask(narInfoOf(path))).status).toBe(404);
  });
});

describe('as a server', () => {
  test('it answers many requests on one connection, HEAD without a body', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const path = own.add('kept');
    const nar = await narOf(path);
    const sockets = new Set<unknown>();
    agent.on('free', (socket) => sockets.add(socket));
    for (const at of [narInfoOf(path), nar, '/nix-cache-info', '/nothing']) {
      const [get, head] = [await ask(at, { agent }), await ask(at, { agent, method: 'HEAD' })];
      expect([head.status, head.headers['content-length'], head.body]).toEqual([
        get.status,
        get.headers['content-length'],
        '',
      ]);
    }
    expect(sockets.size).toBe(1);
    agent.destroy();
  });

  test.each(['store', 'member'])('it sends parts of the NAR of a path of a %s', async (where) => {
    const store = where === 'store' ? own : alpha.store;
    const path = store.add('parts', [], 'y'.repeat(300_000));
    const nar = await narOf(path);
    const whole = bytesOf(store, path);
    const part = async (range: string, more = {}) => ask(nar, { headers: { range, ...more } });
    const middle = await part('bytes=100000-200000');
    expect([middle.status, middle.headers['content-range']]).toEqual([
      206,
      `bytes 100000-200000/${whole.length}`,
    ]);
    expect(middle.body).toBe(whole.slice(100_000, 200_001));
    expect((await part('bytes=299000-')).body).toBe(whole.slice(299_000));
    expect((await part('bytes=-9')).body).toBe(whole.slice(-9));
    expect((await part('bytes=0-1,4-5')).status).toBe(200);
    expect((await part('bytes=5-', { 'if-range': '"of something else"' })).status).toBe(200);
    expect((await part('bytes=5-', { 'if-range': String(middle.headers.etag) })).status).toBe(206);
    const beyond = await part(`bytes=${whole.length}-`);
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, `bytes */${whole.length}`]);
  });

  test('an address of other contents of a path is not this one', async () => {
    const path = own.add('mine');
    const nar = await narOf(path);
    expect((await ask(nar.replace(/-./, (start) => (start === '-0' ? '-1' : '-0')))).status).toBe(404);
  });

  test.each([
    ['another method', 405, { method: 'POST' }, '/nix-cache-info'],
    ['a name that is not of loopback', 403, { headers: { host: 'attacker.example' } }, '/nix-cache-info'],
    [
      'a name that only begins like one',
      403,
      { headers: { host: '127.0.0.1.attacker.example' } },
      '/nix-cache-info',
    ],
    ['an endless URL', 414, {}, `/${'x'.repeat(2_000)}`],
    ['headers without end', 431, { headers: { junk: 'x'.repeat(20_000) } }, '/nix-cache-info'],
    ['what is no hash part', 404, {}, `/${'e'.repeat(32)}.narinfo`],
    ['a way out', 404, {}, '/nar/../../etc/passwd'],
  ])('%s is answered with %i', async (_, status, options, path) => {
    expect((await ask(path, options)).status).toBe(status);
    expect((await ask('/nix-cache-info')).status).toBe(200);
  });

  test('what is not HTTP is refused, and others are answered', async () => {
    const { port } = new URL(substituter.url!);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write('\0\x01 nonsense\r\n\r\n');
    expect(await text(socket)).toContain('400');
    expect((await ask('/nix-cache-info')).status).toBe(200);
  });

  test('a thousand questions at once make few questions to a member', async () => {
    const paths = Array.from({ length: 1_000 }, (_, index) => storePathOf(`p${index}`));
    for (const path of paths.filter((_, index) => index % 2 === 0)) alpha.store.add(path.slice(44));
    let asked = 0;
    const { pathsFromHashParts } = alpha.store;
    alpha.store.pathsFromHashParts = (hashParts) => {
      asked += 1;
      return pathsFromHashParts.call(alpha.store, hashParts);
    };
    const agent = new Agent({ keepAlive: true, maxSockets: 100 });
    const answers = await Promise.all(paths.map((path) => ask(narInfoOf(path), { agent })));
    agent.destroy();
    expect(answers.map(({ status }) => status)).toEqual(
      paths.map((_, index) => (index % 2 === 0 ? 200 : 404)),
    );
    expect(asked).toBeLessThan(250);
  });

  test('where its port is taken the agent goes on without it', async () => {
    const port = Number(new URL(substituter.url!).port);
    const warnings: unknown[] = [];
    const second = new Substituter(
      { port, priority: 30 },
      {
        finder: undefined as never,
        nars: undefined as never,
        label: undefined as never,
        bestFirst: undefined as never,
        onAbsent: undefined as never,
        logger: { ...silentLogger, warn: (first: unknown) => warnings.push(first) },
      },
    );
    await second.start();
    expect(second.url).toBeUndefined();
    expect(warnings).toHaveLength(1);
    await second.stop();
  });
});
