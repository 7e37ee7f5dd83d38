import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ThreadDataPlane } from './data-plane-thread.ts';
import { TransferError } from './errors.ts';
import { NarConnection } from './side-channel/nar-connection.ts';
import { NarConnections } from './side-channel/nar-connections.ts';
import { NarServer } from './side-channel/nar-server.ts';
import { MemoryStore } from './test-support/memory-store.ts';

const peer = { peerId: 'peer-a', name: 'alpha' };
let stateDir: string;
let plane: ThreadDataPlane;
let giver: NarServer;
let store: MemoryStore;
let askedFor: string[];

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'mesh-transfer-'));
  askedFor = [];
  store = new MemoryStore();
  giver = new NarServer({ host: '127.0.0.1' }, { shelf: store, now: () => 0 });
  // No daemon listens there: what the thread can do without Nix is what is tested here.
  const init = { cacheDir: stateDir, listenHost: '127.0.0.1', daemonSocket: join(stateDir, 'no.sock') };
  plane = new ThreadDataPlane(init, {
    askTicket: async (peerId) => {
      askedFor.push(peerId);
      if (peerId !== peer.peerId) throw new TransferError('TRANSFER_PEER_LOST', 'who?', { peerId });
      return { ...(await giver.issueTicket('me')), hosts: ['127.0.0.1'] };
    },
  });
});
afterEach(async () => {
  await plane.close();
  await giver.close();
  await rm(stateDir, { recursive: true });
});

test('the thread serves: a ticket of its listener opens a connection, and its errors arrive as sentences', async () => {
  const endpoint = { ...(await plane.issueTicket('me')), hosts: ['127.0.0.1'] };
  const connection = await NarConnection.connect(endpoint, peer);
  // The asking end of a handshake is done first.
  await expect.poll(async () => (await plane.counters()).connections).toBe(1);
  const range = { path: store.add('x'), offset: 0, bytes: 1 };
  await expect(connection.read(range, () => undefined)).rejects.toMatchObject({
    code: 'TRANSFER_PEER_REFUSED',
    message: expect.stringContaining('nix-daemon'),
  });
  plane.dropPeer('me');
  await expect.poll(async () => (await plane.counters()).connections).toBe(0);
});

test('the thread fetches with tickets asked in this one, and the error of a peer keeps code and name', async () => {
  const path = store.add('x');
  const item = { info: store.infos.get(path)!, peer };
  store.remove(path);
  const importing = plane.import([item], { signal: new AbortController().signal, onPath: () => undefined });
  await expect(importing).rejects.toMatchObject({ code: 'TRANSFER_PEER_REFUSED', peerId: 'peer-a', path });
  expect(askedFor).toEqual(['peer-a']);
});

test('a Nix that is not there fails the import, not the peer', async () => {
  const path = store.add('x');
  const item = { info: store.infos.get(path)!, peer };
  const importing = plane.import([item], { signal: new AbortController().signal, onPath: () => undefined });
  await expect(importing).rejects.toMatchObject({ code: 'TRANSFER_IMPORT_FAILED', peerId: undefined });
});

test('an abort ends an import at once, and the transfer behind it', async () => {
  const path = store.add('x', [], 'x'.repeat(3_000_000));
  const item = { info: store.infos.get(path)!, peer };
  const giveUp = new AbortController();
  const importing = plane.import([item], { signal: giveUp.signal, onPath: () => undefined });
  giveUp.abort(new Error('no longer wanted'));
  await expect(importing).rejects.toThrow('no longer wanted');
});

test('closed, it takes no more work and leaves no listener behind', async () => {
  const endpoint = { ...(await plane.issueTicket('me')), hosts: ['127.0.0.1'] };
  await plane.close();
  await expect(plane.issueTicket('me')).rejects.toMatchObject({ code: 'TRANSFER_STOPPED' });
  const late = new NarConnections(async () => endpoint).read(
    peer,
    { path: store.add('x'), offset: 0, bytes: 1 },
    () => undefined,
    new AbortController().signal,
  );
  await expect(late).rejects.toMatchObject({ code: 'TRANSFER_PEER_LOST' });
});
