import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { TICKET_LIFETIME_MS } from '../constants.ts';
import { BIG, BIG_BYTES, bigByte, PatternShelf, SMALL, SMALL_TEXT } from '../test-support/pattern-shelf.ts';
import type { NarEndpoint } from './dial.ts';
import { frame, SIDE_CHANNEL_ALPN } from './frames.ts';
import { MAX_RANGE_BYTES } from './limits.ts';
import { errorFrame, idFrame, pathFrame, rangeFrame } from './messages.ts';
import { NarConnection } from './nar-connection.ts';
import { NarServer, type NarTicket } from './nar-server.ts';
import type { HoldingBoard, NarHolding } from './ranges.ts';

const MIB = 1024 * 1024;
const SERVER = { peerId: 'peer-a', name: 'alpha' };
const SMALL_RANGE = { path: SMALL, offset: 0, bytes: SMALL_TEXT.length };

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function serve(options: { now?: () => number; board?: HoldingBoard } = {}): {
  server: NarServer;
  shelf: PatternShelf;
} {
  const shelf = new PatternShelf();
  const server = new NarServer({ host: '127.0.0.1' }, { shelf, now: () => 0, ...options });
  cleanups.push(() => server.close());
  return { server, shelf };
}

const at = (ticket: NarTicket): NarEndpoint => ({ ...ticket, hosts: ['127.0.0.1'] });

async function connect(endpoint: NarEndpoint): Promise<NarConnection> {
  const connection = await NarConnection.connect(endpoint, SERVER);
  cleanups.push(() => connection.close());
  return connection;
}

async function read(connection: NarConnection, range = SMALL_RANGE): Promise<Buffer> {
  const parts: Buffer[] = [];
  // What is given is good during the call only.
  await connection.read(range, (bytes) => parts.push(Buffer.from(bytes)));
  return Buffer.concat(parts);
}

const small = async (connection: NarConnection) => (await read(connection)).toString();

describe('ranges', () => {
  test('come whole and in the order asked, however many are asked for at once', async () => {
    const { server } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const offsets = [3, 5 * MIB - 1, 40 * MIB + 7, 0];
    const order: number[] = [];
    const answers = await Promise.all(
      offsets.map(async (offset) => {
        const bytes = await read(connection, { path: BIG, offset, bytes: 2 * MIB + 1 });
        order.push(offset);
        return bytes;
      }),
    );
    expect(order).toEqual(offsets);
    for (const [index, bytes] of answers.entries()) {
      expect(bytes.length).toBe(2 * MIB + 1);
      const wrong = bytes.findIndex((byte, place) => byte !== bigByte(offsets[index]! + place));
      expect(wrong).toBe(-1);
    }
    expect(await small(connection)).toBe(SMALL_TEXT);
    await expect.poll(() => server.counters.ranges).toBe(5);
    expect(server.counters).toMatchObject({ nars: 1, rawBytes: 8 * MIB + 4 + 13, garbled: 0 });
  });

  test('one NAR is opened once for ranges that follow each other, and closed for the next', async () => {
    const { server, shelf } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    for (const offset of [0, 10, 20]) await read(connection, { path: BIG, offset, bytes: 10 });
    await read(connection);
    expect([shelf.opened, shelf.closed]).toEqual([2, 1]);
    connection.close();
    await expect.poll(() => shelf.closed).toBe(2);
  });

  test('64 MiB pass through flat memory', async () => {
    const { server } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    for (let offset = 0; offset < BIG_BYTES; offset += MAX_RANGE_BYTES) {
      await connection.read({ path: BIG, offset, bytes: MAX_RANGE_BYTES }, () => {
        peak = Math.max(peak, process.memoryUsage().arrayBuffers);
      });
    }
    expect(peak - before).toBeLessThan(48 * MIB);
  });

  test.each([
    ['of a path the peer lacks', { path: `${SMALL}-not`, offset: 0, bytes: 1 }, 'it is not here'],
    ['beyond the end', { path: SMALL, offset: 1, bytes: 13 }, 'its NAR has only 13 bytes'],
    ['of what is no store path', { path: '/etc/passwd', offset: 0, bytes: 1 }, 'it is no store path'],
  ])('%s are refused in a sentence, and the connection lives on', async (_what, range, why) => {
    const { server } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    await expect(read(connection, range)).rejects.toMatchObject({
      code: 'TRANSFER_PEER_REFUSED',
      peerId: 'peer-a',
      path: range.path,
      message: `alpha did not send ${range.path}: ${range.path}: ${why}`,
    });
    expect(await small(connection)).toBe(SMALL_TEXT);
  });

  test('given up in the middle stop at the sender too, and the others go on', async () => {
    const { server, shelf } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const giveUp = new AbortController();
    const range = { path: BIG, offset: 0, bytes: MAX_RANGE_BYTES };
    const first = connection.read(range, () => giveUp.abort(new Error('enough')), giveUp.signal);
    const queued = [1, 2, 3].map((turn) =>
      connection.read({ ...range, offset: turn * MAX_RANGE_BYTES }, () => undefined, giveUp.signal),
    );
    const other = small(connection);
    for (const given of [first, ...queued]) await expect(given).rejects.toThrow('enough');
    expect(await other).toBe(SMALL_TEXT);
    expect(connection.closed).toBe(false);
    expect(shelf.readBytes).toBeLessThan(BIG_BYTES / 2);
  });

  test('whose taker fails fail with its error, and only they', async () => {
    const { server } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const full = () => {
      throw new Error('no room');
    };
    await expect(connection.read({ path: BIG, offset: 0, bytes: MIB }, full)).rejects.toThrow('no room');
    expect(await small(connection)).toBe(SMALL_TEXT);
  });
});

describe('watching', () => {
  /** Of one path, what each watcher is told. */
  class Board implements HoldingBoard {
    readonly watchers = new Map<string, (holding: NarHolding) => void>();
    watch(peerId: string, path: string, tell: (holding: NarHolding) => void): () => void {
      this.watchers.set(`${peerId} ${path}`, tell);
      tell({ complete: false, pieces: Uint8Array.of(1), fetchers: [] });
      return () => this.watchers.delete(`${peerId} ${path}`);
    }
  }

  test('a peer hears what there is now, then the newest of what changes, until it stops', async () => {
    const board = new Board();
    const { server } = serve({ board });
    const connection = await connect(at(await server.issueTicket('me')));
    const heard: NarHolding[] = [];
    const stop = new AbortController();
    const watching = connection.watch(BIG, (holding) => heard.push(holding), stop.signal);
    await expect.poll(() => heard.length).toBe(1);
    const tell = board.watchers.get(`me ${BIG}`)!;
    for (let piece = 2; piece < 200; piece += 1) {
      tell({ complete: false, pieces: Uint8Array.of(piece), fetchers: ['other'] });
    }
    await expect.poll(() => heard.at(-1)?.pieces[0]).toBe(199);
    expect(heard.length).toBeLessThan(10);
    stop.abort();
    await watching;
    await expect.poll(() => board.watchers.size).toBe(0);
    expect(await small(connection)).toBe(SMALL_TEXT);
  });

  test('news come between the bytes of a range', async () => {
    const board = new Board();
    const { server } = serve({ board });
    const connection = await connect(at(await server.issueTicket('me')));
    const stop = new AbortController();
    const events: string[] = [];
    const watching = connection.watch(SMALL, () => events.push('news'), stop.signal);
    const range = { path: BIG, offset: 0, bytes: MAX_RANGE_BYTES };
    await Promise.all(
      [0, 1, 2, 3].map((turn) =>
        connection.read({ ...range, offset: turn * MAX_RANGE_BYTES }, () => {
          board.watchers.get(`me ${SMALL}`)?.({ complete: true, pieces: new Uint8Array(0), fetchers: [] });
          if (events.at(-1) !== 'bytes') events.push('bytes');
        }),
      ),
    );
    expect(events.slice(0, events.lastIndexOf('bytes'))).toContain('news');
    stop.abort();
    await watching;
  });

  test('ends with an error where the peer is lost', async () => {
    const { server } = serve({ board: new Board() });
    const connection = await connect(at(await server.issueTicket('me')));
    const heard = Promise.withResolvers<NarHolding>();
    const watching = connection.watch(BIG, heard.resolve, new AbortController().signal);
    await heard.promise;
    server.dropPeer('me');
    await expect(watching).rejects.toMatchObject({ code: 'TRANSFER_PEER_LOST', path: BIG });
  });
});

describe('a ticket', () => {
  const refusedTwice = async (server: NarServer, endpoint: NarEndpoint) => {
    await expect(NarConnection.connect(endpoint, SERVER)).rejects.toMatchObject({
      code: 'TRANSFER_PEER_LOST',
    });
    await expect.poll(() => server.counters.refused).toBe(1);
    const connection = await connect(at(await server.issueTicket('me')));
    expect(await small(connection)).toBe(SMALL_TEXT);
  };

  test('with a wrong key is refused, and others are still served', async () => {
    const { server } = serve();
    await refusedTwice(server, { ...at(await server.issueTicket('me')), key: Buffer.alloc(32, 1) });
  });

  test('that nobody gave out is refused', async () => {
    const { server } = serve();
    await refusedTwice(server, { ...at(await server.issueTicket('me')), ticket: '0'.repeat(32) });
  });

  test('is good once', async () => {
    const { server } = serve();
    const endpoint = at(await server.issueTicket('me'));
    await connect(endpoint);
    await refusedTwice(server, endpoint);
  });

  test('expires', async () => {
    let now = 0;
    const { server } = serve({ now: () => now });
    const endpoint = at(await server.issueTicket('me'));
    now = TICKET_LIFETIME_MS + 1;
    await refusedTwice(server, endpoint);
  });

  test('of a peer that left is void, and its connections close', async () => {
    const { server } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const unused = at(await server.issueTicket('me'));
    const other = await connect(at(await server.issueTicket('somebody else')));
    await small(connection);
    server.dropPeer('me');
    await expect(read(connection)).rejects.toMatchObject({ code: 'TRANSFER_PEER_LOST' });
    await expect(NarConnection.connect(unused, SERVER)).rejects.toMatchObject({ code: 'TRANSFER_PEER_LOST' });
    expect(await small(other)).toBe(SMALL_TEXT);
  });
});

test('an address that is not this machine’s is one sentence', async () => {
  const server = new NarServer({ host: '192.0.2.1', port: 0 }, { shelf: new PatternShelf(), now: () => 0 });
  cleanups.push(() => server.close());
  await expect(server.issueTicket('me')).rejects.toMatchObject({
    code: 'TRANSFER_SIDE_CHANNEL',
    message: expect.stringMatching(/^Members cannot fetch from this machine: .*\(.*\)\.$/),
  });
});

describe('garbage', () => {
  test('in place of a handshake is closed and counted', async () => {
    const { server } = serve();
    const { port } = await server.issueTicket('me');
    const socket = connectTcp({ host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    socket.end('GET / HTTP/1.1\r\n\r\n');
    await once(socket, 'close');
    expect(server.counters.refused).toBe(1);
  });

  test('from a listener that is no side channel is a lost peer, not a crash', async () => {
    const listener = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('this is not TLS');
    });
    listener.listen(0, '127.0.0.1');
    cleanups.push(() => listener.close());
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    const endpoint = { hosts: ['127.0.0.1'], port, ticket: '0'.repeat(32), key: Buffer.alloc(32) };
    await expect(NarConnection.connect(endpoint, SERVER)).rejects.toMatchObject({
      code: 'TRANSFER_PEER_LOST',
    });
  });
});

test('where its port is taken a server takes another', async () => {
  const { server: first } = serve();
  const { port } = await first.issueTicket('me');
  const components = { shelf: new PatternShelf(), now: () => 0 };
  const second = new NarServer({ host: '127.0.0.1', port }, components);
  cleanups.push(() => second.close());
  const ticket = await second.issueTicket('me');
  expect(ticket.port).not.toBe(port);
  expect(await small(await connect(at(ticket)))).toBe(SMALL_TEXT);
});

describe('batches', () => {
  async function readBatch(connection: NarConnection, paths: string[], bytes: number): Promise<string> {
    const parts: Buffer[] = [];
    await connection.readBatch({ paths, bytes }, (part) => parts.push(Buffer.from(part)));
    return Buffer.concat(parts).toString();
  }

  test('come right after each other, between ranges as asked', async () => {
    const { server, shelf } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const [before, batch, after] = await Promise.all([
      small(connection),
      readBatch(connection, [SMALL, SMALL, SMALL], 3 * SMALL_TEXT.length),
      small(connection),
    ]);
    expect([before, batch, after]).toEqual([SMALL_TEXT, SMALL_TEXT.repeat(3), SMALL_TEXT]);
    await expect.poll(() => server.counters).toMatchObject({ nars: 5, ranges: 3 });
    connection.close();
    await expect.poll(() => shelf.closed).toBe(shelf.opened);
  });

  test.each([
    ['of what the peer lacks', [SMALL, `${SMALL}-not`], 26, 'not all of the batch is here'],
    ['of other sizes', [SMALL, SMALL], 25, 'they have 26 bytes and not 25'],
    ['of what is no store path', ['/etc/passwd', SMALL], 26, 'it is no store path'],
  ])('%s are refused in a sentence, and the connection lives on', async (_what, paths, bytes, why) => {
    const { server, shelf } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    await expect(readBatch(connection, paths, bytes)).rejects.toMatchObject({
      code: 'TRANSFER_PEER_REFUSED',
      message: expect.stringMatching(new RegExp(`${why}$`)),
    });
    expect(await small(connection)).toBe(SMALL_TEXT);
    connection.close();
    await expect.poll(() => shelf.closed).toBe(shelf.opened);
  });
});

describe('a member that breaks the framing', () => {
  const key = Buffer.alloc(32, 9);
  const tls = {
    ciphers: 'TLS_AES_128_GCM_SHA256',
    minVersion: 'TLSv1.3',
    ALPNProtocols: [SIDE_CHANNEL_ALPN],
  } as const;
  const data = (bytes: number) => frame('data', Buffer.alloc(bytes, 7));

  /** A serving end that answers whatever is asked with these bytes, then closes. */
  async function answering(bytes: Uint8Array): Promise<NarConnection> {
    const server = createTlsServer({ ...tls, pskCallback: () => key }, (socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(bytes));
    });
    server.listen(0, '127.0.0.1');
    cleanups.push(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    return connect({ hosts: ['127.0.0.1'], port, ticket: '0'.repeat(32), key });
  }

  test.each([
    ['garbage', Buffer.from('HTTP/1.1 200 OK'), 'TRANSFER_SIDE_CHANNEL'],
    ['a frame over the limit', Buffer.from([2, 0xff, 0, 0, 0]), 'TRANSFER_SIDE_CHANNEL'],
    ['a frame that is not its to send', pathFrame('watch', SMALL), 'TRANSFER_SIDE_CHANNEL'],
    ['too little', Buffer.concat([data(12), idFrame('end', 1)]), 'TRANSFER_SIDE_CHANNEL'],
    ['too much', data(14), 'TRANSFER_SIDE_CHANNEL'],
    ['the end of another range', Buffer.concat([data(13), idFrame('end', 2)]), 'TRANSFER_SIDE_CHANNEL'],
    ['a refusal of another range', errorFrame({ id: 9, code: 'X', message: 'no' }), 'TRANSFER_SIDE_CHANNEL'],
    ['what does not unpack', frame('packed', Buffer.from('\0\0\0\x0dabcd')), 'TRANSFER_SIDE_CHANNEL'],
    ['half a frame', Buffer.from([2, 0, 0, 1, 0, 7]), 'TRANSFER_PEER_LOST'],
    ['half of what was asked', data(6), 'TRANSFER_PEER_LOST'],
    ['nothing', Buffer.alloc(0), 'TRANSFER_PEER_LOST'],
  ])('by sending %s is named in the error, and the connection is over', async (_what, bytes, code) => {
    const connection = await answering(bytes);
    await expect(read(connection)).rejects.toMatchObject({ code, peerId: 'peer-a', path: SMALL });
    expect(connection.closed).toBe(true);
    await expect(read(connection)).rejects.toMatchObject({ code });
  });

  async function asking(server: NarServer, bytes: Uint8Array): Promise<void> {
    const ticket = await server.issueTicket('me');
    const socket = connectTls({
      ...tls,
      host: '127.0.0.1',
      port: ticket.port,
      pskCallback: () => ({ identity: ticket.ticket, psk: ticket.key }),
      checkServerIdentity: () => undefined,
    });
    socket.on('error', () => undefined);
    socket.write(bytes);
    socket.resume();
    await once(socket, 'close');
  }

  test.each([
    ['in garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['for more than a range may be', frame('range', Buffer.alloc(30, 0xff))],
    ['for a batch of nothing', frame('batch', Buffer.alloc(13))],
    ['with an answer', data(1)],
  ])('by asking %s is closed and counted, and others are still served', async (_what, bytes) => {
    const { server } = serve();
    await asking(server, bytes);
    expect(server.counters.garbled).toBe(1);
    const connection = await connect(at(await server.issueTicket('me')));
    expect(await small(connection)).toBe(SMALL_TEXT);
  });

  test('100,000 requests at once are answered one by one, and are never all in memory', async () => {
    const { server, shelf } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const request = rangeFrame({ id: 1, path: SMALL, offset: 0, bytes: 13, zstd: false });
    const ticket = await server.issueTicket('greedy');
    const greedy = connectTls({
      ...tls,
      host: '127.0.0.1',
      port: ticket.port,
      pskCallback: () => ({ identity: ticket.ticket, psk: ticket.key }),
      checkServerIdentity: () => undefined,
    });
    cleanups.push(() => greedy.destroy());
    greedy.on('error', () => undefined);
    greedy.on('data', () => undefined);
    await once(greedy, 'secureConnect');
    greedy.write(Buffer.concat(Array.from({ length: 100_000 }, () => request)));
    await expect.poll(() => server.counters.ranges).toBeGreaterThan(1_000);
    expect(await small(connection)).toBe(SMALL_TEXT);
    expect(greedy.bytesWritten).toBeGreaterThan(0);
    expect(shelf.opened).toBeLessThan(100);
  });
});
