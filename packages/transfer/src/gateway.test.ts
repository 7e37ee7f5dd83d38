import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { parseNarInfo, parseStorePath } from '@mesh/nix';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Gateway } from './gateway.ts';
import type { ImportItem } from './import/import.ts';
import { MemoryStore, narOf } from './test-support/memory-store.ts';
import { verifiedNar } from './test-support/verified-nar.ts';

const peer = { peerId: 'peer-a', name: 'alpha' };
let store: MemoryStore;
let gateway: Gateway;
let closed: AbortController;

beforeEach(() => {
  store = new MemoryStore();
  closed = new AbortController();
  gateway = new Gateway((item) => verifiedNar(store.openNar(item.info.path), item.info, item.peer));
});
afterEach(() => gateway.close());

interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** Whether the announced body came whole. */
  complete: boolean;
}

async function ask(path: string, method = 'GET'): Promise<Reply> {
  const sent = request(`${await gateway.url()}${path}`, { method }).end();
  const [response] = await once(sent, 'response');
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk);
  } catch {
    // A body cut short is one of the things under test.
  }
  const { statusCode: status, headers, complete } = response;
  return { status, headers, complete, body: Buffer.concat(chunks) };
}

function offer(paths: string[]) {
  const items = paths.map((path): ImportItem => ({ info: store.infos.get(path)!, peer }));
  const came: string[] = [];
  const offered = gateway.offer(items, closed.signal, ({ info }) => came.push(info.path));
  return { offered, came };
}

const narUrl = (path: string) => `/nar/${parseStorePath(path).hashPart}.nar`;
const narInfoUrl = (path: string) => `/${parseStorePath(path).hashPart}.narinfo`;

describe('the gateway', () => {
  test('says what kind of cache it is', async () => {
    const { status, body } = await ask('/nix-cache-info');
    expect([status, body.toString()]).toEqual([
      200,
      'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n',
    ]);
  });

  test('serves narinfo and NAR of what is offered', async () => {
    const lib = store.add('lib');
    const app = store.add('app', [lib]);
    const { offered, came } = offer([app]);
    const narInfo = parseNarInfo((await ask(narInfoUrl(app))).body.toString());
    expect(narInfo).toMatchObject({
      path: app,
      references: [lib],
      compression: 'none',
      url: narUrl(app).slice(1),
    });
    const nar = await ask(`/${narInfo.url}`);
    expect(nar.status).toBe(200);
    expect(nar.body.equals(narOf('app'))).toBe(true);
    expect(came).toEqual([app]);
    expect(offered.fault).toBeUndefined();
  });

  test('HEAD tells the size and reads nothing', async () => {
    const path = store.add('lib');
    offer([path]);
    const { status, headers, body } = await ask(narUrl(path), 'HEAD');
    expect([status, Number(headers['content-length']), body.length]).toEqual([200, narOf('lib').length, 0]);
    expect((await ask(narInfoUrl(path), 'HEAD')).body.length).toBe(0);
    expect(store.readNars).toEqual([]);
  });

  test('knows nothing that is not offered, and nothing any more once the offer is over', async () => {
    const path = store.add('lib');
    expect((await ask(narInfoUrl(path))).status).toBe(404);
    const { offered } = offer([path]);
    expect((await ask(narInfoUrl(path))).status).toBe(200);
    offered.close();
    expect((await ask(narInfoUrl(path))).status).toBe(404);
    expect((await ask(narUrl(path))).status).toBe(404);
  });

  test('anything else is not found or not allowed', async () => {
    for (const path of ['/', '/../etc/passwd', '/nar/../x.nar', '/x.narinfo', `/${'0'.repeat(33)}.narinfo`]) {
      expect((await ask(path)).status).toBe(404);
    }
    expect((await ask('/nix-cache-info', 'PUT')).status).toBe(405);
  });

  test('a NAR with another hash never completes, and the offer says whose fault it is', async () => {
    const path = store.add('lib', [], 'x'.repeat(300_000));
    store.nars.set(path, narOf(`${'x'.repeat(299_999)}y`));
    const { offered, came } = offer([path]);
    const { status, complete, body } = await ask(narUrl(path));
    expect([status, complete]).toEqual([200, false]);
    expect(body.length).toBeLessThan(store.infos.get(path)!.narSize);
    expect(offered.fault).toMatchObject({ code: 'TRANSFER_BAD_HASH', peerId: 'peer-a', path });
    expect(came).toEqual([]);
  });

  test('a client that goes away in the middle is nobody’s fault', async () => {
    const path = store.add('lib', [], 'x'.repeat(20_000_000));
    const { offered } = offer([path]);
    const sent = request(`${await gateway.url()}${narUrl(path)}`).end();
    const [response] = await once(sent, 'response');
    await once(response, 'readable');
    response.destroy();
    await once(sent, 'close');
    expect((await ask(narUrl(path))).complete).toBe(true);
    expect(offered.fault).toBeUndefined();
  });

  test('more NARs at once than it streams at once all arrive', async () => {
    const paths = Array.from({ length: 30 }, (_, index) => store.add(`p${index}`));
    offer(paths);
    const replies = await Promise.all(paths.map((path) => ask(narUrl(path))));
    expect(replies.every(({ complete }) => complete)).toBe(true);
  });
});
