import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { TICKET_LIFETIME_MS } from '../constants.ts';
import { SIDE_CHANNEL_ALPN, textFrame } from './frames.ts';
import { NarConnection, type NarEndpoint } from './nar-connection.ts';
import { NarConnections } from './nar-connections.ts';
import { NarServer, type NarSource, type NarTicket, type NarServer as Server } from './nar-server.ts';

const MIB = 1024 * 1024;
const SERVER = { peerId: 'peer-a', name: 'alpha' };
const BIG = '/nix/store/00000000000000000000000000000000-big';
const SMALL = '/nix/store/11111111111111111111111111111111-small';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Serves `big` (64 MiB of a counted pattern) and `small`; counts what it was asked to read. */
class PatternSource implements NarSource {
  readBytes = 0;
  aborted = 0;

  async *openNar(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    signal.addEventListener('abort', () => {
      this.aborted += 1;
    });
    if (path === SMALL) yield Buffer.from('the small one');
    else if (path === BIG) {
      for (let index = 0; index < 1024; index += 1) {
        signal.throwIfAborted();
        this.readBytes += 65_536;
        yield Buffer.alloc(65_536, index % 251);
      }
    } else throw Object.assign(new Error(`${path} is not valid here`), { code: 'NIX_DAEMON_ERROR' });
  }
}

function serve(now = () => 0): { server: Server; source: PatternSource } {
  const source = new PatternSource();
  const server = new NarServer({ host: '127.0.0.1' }, { source, now });
  cleanups.push(() => server.close());
  return { server, source };
}

const at = (ticket: NarTicket): NarEndpoint => ({ ...ticket, hosts: ['127.0.0.1'] });

async function connect(endpoint: NarEndpoint): Promise<NarConnection> {
  const connection = await NarConnection.connect(endpoint, SERVER);
  cleanups.push(() => connection.close());
  return connection;
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

describe('the side channel', () => {
  test('carries several NARs one after another, whole and in order', async () => {
    const { server } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    expect((await collect(connection.nar(SMALL))).toString()).toBe('the small one');
    let size = 0;
    for await (const chunk of connection.nar(BIG)) {
      const expected = Math.floor(size / 65_536) % 251;
      expect(chunk[0]).toBe(expected);
      size += chunk.length;
    }
    expect(size).toBe(64 * MIB);
    expect((await collect(connection.nar(SMALL))).toString()).toBe('the small one');
    expect(server.counters).toEqual({ nars: 3, sentBytes: 64 * MIB + 26, refused: 0, garbled: 0 });
  });

  test('a slow reader holds the sender back', async () => {
    const { server, source } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const nar = connection.nar(BIG);
    await nar.next();
    // The sender runs on until every buffer between the two is full; then it stands still.
    let before = -1;
    while (before !== source.readBytes) {
      before = source.readBytes;
      for (let turn = 0; turn < 200; turn += 1) await turnOfTheLoop();
    }
    expect(source.readBytes).toBeLessThan(24 * MIB);
    expect((await collect(nar)).length).toBeGreaterThan(63 * MIB);
    expect(source.readBytes).toBe(64 * MIB);
  });

  test('64 MiB pass through flat memory', async () => {
    const { server } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    for await (const _ of connection.nar(BIG)) peak = Math.max(peak, process.memoryUsage().arrayBuffers);
    expect(peak - before).toBeLessThan(48 * MIB);
  });

  test('a path the peer lacks is refused in a sentence, and the connection lives on', async () => {
    const { server } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    await expect(collect(connection.nar(`${SMALL}-not`))).rejects.toMatchObject({
      code: 'TRANSFER_PEER_REFUSED',
      peerId: 'peer-a',
      message: `alpha did not send ${SMALL}-not: ${SMALL}-not is not valid here`,
    });
    expect((await collect(connection.nar(SMALL))).toString()).toBe('the small one');
  });

  test('giving up in the middle stops the sender', async () => {
    const { server, source } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const giveUp = new AbortController();
    const nar = connection.nar(BIG, giveUp.signal);
    await nar.next();
    giveUp.abort(new Error('enough'));
    await expect(collect(nar)).rejects.toThrow('enough');
    await expect.poll(() => source.aborted).toBe(1);
    expect(connection.closed).toBe(true);
    expect(source.readBytes).toBeLessThan(64 * MIB);
  });
});

describe('a ticket', () => {
  const refusedTwice = async (server: Server, endpoint: NarEndpoint) => {
    await expect(NarConnection.connect(endpoint, SERVER)).rejects.toMatchObject({
      code: 'TRANSFER_PEER_LOST',
    });
    await expect.poll(() => server.counters.refused).toBe(1);
    const connection = await connect(at(await server.issueTicket('me')));
    expect((await collect(connection.nar(SMALL))).toString()).toBe('the small one');
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
    const { server } = serve(() => now);
    const endpoint = at(await server.issueTicket('me'));
    now = TICKET_LIFETIME_MS + 1;
    await refusedTwice(server, endpoint);
  });

  test('of a peer that left is void, and its connections close', async () => {
    const { server } = serve();
    const connection = await connect(at(await server.issueTicket('me')));
    const unused = at(await server.issueTicket('me'));
    const other = await connect(at(await server.issueTicket('somebody else')));
    server.dropPeer('me');
    await expect(collect(connection.nar(SMALL))).rejects.toMatchObject({ code: 'TRANSFER_PEER_LOST' });
    await expect(NarConnection.connect(unused, SERVER)).rejects.toMatchObject({ code: 'TRANSFER_PEER_LOST' });
    expect((await collect(other.nar(SMALL))).toString()).toBe('the small one');
  });
});

test('a port that is taken is one sentence, and tried again with the next ticket', async () => {
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  const { port } = blocker.address() as AddressInfo;
  const source = new PatternSource();
  const server = new NarServer({ host: '127.0.0.1', port }, { source, now: () => 0 });
  cleanups.push(() => server.close());
  await expect(server.issueTicket('me')).rejects.toMatchObject({ code: 'TRANSFER_SIDE_CHANNEL' });
  blocker.close();
  await once(blocker, 'close');
  expect((await server.issueTicket('me')).port).toBe(port);
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

describe('a member that breaks the framing', () => {
  const key = Buffer.alloc(32, 9);
  const tls = {
    ciphers: 'TLS_AES_128_GCM_SHA256',
    minVersion: 'TLSv1.3',
    ALPNProtocols: [SIDE_CHANNEL_ALPN],
  } as const;

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
    ['a frame that is not its to send', textFrame('nar', SMALL), 'TRANSFER_SIDE_CHANNEL'],
    ['half a frame', Buffer.from([2, 0, 0, 1, 0, 7]), 'TRANSFER_PEER_LOST'],
    ['nothing', Buffer.alloc(0), 'TRANSFER_PEER_LOST'],
    ['data without an end', Buffer.from([2, 0, 0, 0, 1, 7]), 'TRANSFER_PEER_LOST'],
  ])('by sending %s is named in the error, and the connection is over', async (_what, bytes, code) => {
    const connection = await answering(bytes);
    await expect(collect(connection.nar(SMALL))).rejects.toMatchObject({
      code,
      peerId: 'peer-a',
      path: SMALL,
    });
    expect(connection.closed).toBe(true);
  });

  test('by asking in garbage is closed and counted, and others are still served', async () => {
    const { server } = serve();
    const ticket = await server.issueTicket('me');
    const socket = connectTls({
      ...tls,
      host: '127.0.0.1',
      port: ticket.port,
      pskCallback: () => ({ identity: ticket.ticket, psk: ticket.key }),
      checkServerIdentity: () => undefined,
    });
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
    expect(server.counters.garbled).toBe(1);
    const connection = await connect(at(await server.issueTicket('me')));
    expect((await collect(connection.nar(SMALL))).toString()).toBe('the small one');
  });
});

describe('kept connections', () => {
  function connections(server: Server): { pool: NarConnections; tickets: () => number } {
    let tickets = 0;
    const pool = new NarConnections(async () => {
      tickets += 1;
      return at(await server.issueTicket('me'));
    });
    cleanups.push(() => pool.close());
    return { pool, tickets: () => tickets };
  }

  test('one connection serves NAR after NAR', async () => {
    const { server } = serve();
    const { pool, tickets } = connections(server);
    for (let turn = 0; turn < 5; turn += 1) {
      expect((await collect(pool.openNar(SERVER, SMALL))).toString()).toBe('the small one');
    }
    expect(tickets()).toBe(1);
  });

  test('at most four to one peer, and everybody gets their turn', async () => {
    const { server } = serve();
    const { pool, tickets } = connections(server);
    const nars = await Promise.all(Array.from({ length: 20 }, () => collect(pool.openNar(SERVER, SMALL))));
    expect(nars.every((nar) => nar.toString() === 'the small one')).toBe(true);
    expect(tickets()).toBe(4);
    expect(server.connections).toBe(4);
  });

  test('one that the peer closed meanwhile is replaced without anybody noticing', async () => {
    const { server } = serve();
    const { pool, tickets } = connections(server);
    await collect(pool.openNar(SERVER, SMALL));
    server.dropPeer('me');
    expect((await collect(pool.openNar(SERVER, SMALL))).toString()).toBe('the small one');
    expect(tickets()).toBe(2);
  });
});
