import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MAX_ADDRESSES_PER_PEER, MAX_REMEMBERED_PEERS } from './constants.ts';
import { generateIdentity } from './identity.ts';
import { silentLogger } from './logger.ts';
import { MembershipStore } from './membership-store.ts';
import { RememberedPeers } from './remembered-peers.ts';
import { ManualClock } from './testing.ts';

let stateDir: string;
const clock = new ManualClock();
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'mesh-state-'));
});
afterEach(() => rm(stateDir, { recursive: true }));

describe('the membership file', () => {
  const identity = generateIdentity();
  const load = () => MembershipStore.load({ stateDir, identity, name: 'a', clock });

  it('is founded once and kept', async () => {
    const first = await load();
    const second = await load();
    expect(second.records()).toEqual(first.records());
    expect([...second.members().keys()]).toEqual([identity.peerId]);
    expect((await stat(join(stateDir, 'membership.json'))).mode & 0o777).toBe(0o600);
  });

  it.each(['', '[]', '{"version":2}', '{"version":1,"meshId":"x","records":[{}]}'])(
    'that holds %j is refused and left alone: a mesh must not be lost by starting',
    async (content) => {
      const path = join(stateDir, 'membership.json');
      await writeFile(path, content);
      await expect(load()).rejects.toMatchObject({ code: 'NET_STATE_UNREADABLE' });
      expect(await readFile(path, 'utf8')).toBe(content);
    },
  );

  it('of a machine whose identity was deleted gives way to a mesh of one of the new identity', async () => {
    await load();
    const anew = generateIdentity();
    const store = await MembershipStore.load({ stateDir, identity: anew, name: 'a', clock });
    expect([store.meshId, ...store.members().keys()]).toEqual([anew.peerId, anew.peerId]);
  });

  it('with a record that was tampered with loses that record only', async () => {
    await load();
    const path = join(stateDir, 'membership.json');
    const content = JSON.parse(await readFile(path, 'utf8'));
    const [record] = content.records;
    content.records.push({ ...record, payload: Buffer.from('nonsense').toString('base64') });
    await writeFile(path, JSON.stringify(content));
    expect((await load()).records()).toHaveLength(1);
  });
});

describe('remembered addresses', () => {
  const load = () => RememberedPeers.load({ stateDir, clock, logger: silentLogger });

  it('survive a restart, the one that worked last first', async () => {
    const peers = await load();
    peers.remember('ann', ['/ip4/10.0.0.1/tcp/1']);
    peers.remember('ann', ['/ip4/10.0.0.2/tcp/1']);
    await peers.save();
    expect((await load()).get('ann')?.addresses).toEqual(['/ip4/10.0.0.2/tcp/1', '/ip4/10.0.0.1/tcp/1']);
  });

  it('are bounded, the peers longest unseen giving way', async () => {
    const peers = await load();
    for (let i = 0; i <= MAX_REMEMBERED_PEERS; i++) peers.remember(`peer${i}`, []);
    for (let i = 0; i < 50; i++) peers.remember('ann', [`/ip4/10.0.0.${i}/tcp/1`]);
    expect(peers.peerIds()).toHaveLength(MAX_REMEMBERED_PEERS);
    expect(peers.get('peer0')).toBeUndefined();
    expect(peers.get('ann')?.addresses).toHaveLength(MAX_ADDRESSES_PER_PEER);
  });

  it('that are garbled are started afresh', async () => {
    await writeFile(join(stateDir, 'peers.json'), '{"version":7}');
    expect((await load()).peerIds()).toEqual([]);
  });
});
