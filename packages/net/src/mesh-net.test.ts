import { defineProtocol } from '@mesh/wire';
import * as v from 'valibot';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MeshNet } from './mesh-net.ts';
import { allConnected, NetBed, OWN_RECORD, until } from './testing.ts';

const echo = defineProtocol({
  id: '/mesh/echo/1.0.0',
  maxFrameBytes: 10_000,
  dialerSchema: v.object({ n: v.number() }),
  listenerSchema: v.object({ n: v.number() }),
  maxInboundStreams: 8,
});

let bed: NetBed;
beforeEach(() => {
  bed = new NetBed();
});
afterEach(() => bed[Symbol.asyncDispose]());

const names = (net: MeshNet) => net.members().map(({ name }) => name);

describe('a mesh', () => {
  it('of one is what a machine alone is in', async () => {
    const net = await bed.up('alone');
    expect(net.meshId).toBe(net.self.peerId);
    expect(net.members()).toMatchObject([
      { name: 'alone', self: true, connected: true, roles: ['build', 'submit', 'admin'] },
    ]);
  });

  it('takes any host name for a name', async () => {
    const net = await bed.up('  Ann’s PC (old) ');
    expect(net.self.name).toBe('Ann-s-PC-old-');
    expect(names(net)).toEqual(['Ann-s-PC-old-']);
  });

  it('grows by invitation, and all members see each other', async () => {
    const [a, b, c] = (await bed.mesh('a', 'b', 'c')) as [MeshNet, MeshNet, MeshNet];
    for (const net of [a, b, c]) expect(net.meshId).toBe(a.self.peerId);
    expect([names(a), names(b), names(c)]).toEqual([
      ['a', 'b', 'c'],
      ['b', 'a', 'c'],
      ['c', 'a', 'b'],
    ]);
  });

  it('has a new machine as usable member, seen by all, within 2 s of its certificate', async () => {
    const nets = await bed.mesh('a', 'b');
    const c = await bed.up('c');
    const [a] = nets as [MeshNet];
    let certified = 0;
    a.events.on('membership', () => {
      certified = performance.now();
    });
    await c.join(a.invite());
    await allConnected([...nets, c]);
    await until('all have its record', () =>
      nets.every((net) => net.members().some(({ name, record }) => name === 'c' && record?.slots === 2)),
    );
    expect(performance.now() - certified).toBeLessThan(2_000);
  });

  it('lets any admin invite, and nobody else', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    const c = await bed.up('c');
    await c.join(b.invite({ roles: ['build'] }));
    await allConnected([a, b, c]);
    expect(a.rolesOf(c.self.peerId)).toEqual(['build']);
    expect(() => c.invite()).toThrow(expect.objectContaining({ code: 'NET_NOT_ADMIN' }));
  });

  it('gives a machine another name where its own is taken', async () => {
    const [a] = (await bed.mesh('a')) as [MeshNet];
    const other = await bed.up('a');
    await other.join(a.invite());
    expect(other.self.name).toBe('a-2');
    expect(names(a)).toEqual(['a', 'a-2']);
  });

  it('finds itself again after a restart, without an invitation', async () => {
    const stateDir = await bed.stateDir();
    const a = await bed.up('a');
    const before = await bed.up('b', { stateDir });
    await before.join(a.invite());
    await allConnected([a, before]);
    await bed.down(before);
    await until('a noticed', () => a.connectedMembers().length === 0);
    const after = await bed.up('b', { stateDir });
    await allConnected([a, after]);
    expect(after.meshId).toBe(a.meshId);
  });

  it('connects over an address given by hand', async () => {
    const stateDir = await bed.stateDir();
    const a = await bed.up('a');
    const joined = await bed.up('b', { stateDir });
    await joined.join(a.invite());
    const [address] = joined.addresses();
    await bed.down(joined);
    // A's memory of b's address is as good as gone: b comes back on another port and is told a's.
    const b = await bed.up('b', { stateDir, peers: [a.addresses()[0]!.replace(/\/p2p\/.*/, '')] });
    expect(b.addresses()).not.toContain(address);
    await allConnected([a, b]);
  });
});

describe('joining', () => {
  const refusal = (code: string, message: RegExp) => ({ code, message: expect.stringMatching(message) });

  it('works once per ticket', async () => {
    const a = await bed.up('a');
    const [b, c] = [await bed.up('b'), await bed.up('c')];
    const ticket = a.invite();
    await b.join(ticket);
    // Nobody is invited any more, so nobody is let in to be told more.
    await expect(c.join(ticket)).rejects.toMatchObject(
      refusal('NET_JOIN_REFUSED', /may have expired, been used/),
    );
    a.invite();
    await expect(c.join(ticket)).rejects.toMatchObject(refusal('NET_JOIN_REFUSED', /used already/));
    expect(names(a)).toEqual(['a', 'b']);
    expect(c.meshId).toBe(c.self.peerId);
  });

  it('refuses an expired ticket', async () => {
    const a = await bed.up('a');
    const b = await bed.up('b');
    const ticket = a.invite({ ttlMs: 1 });
    await until('it expired', () => true);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(b.join(ticket)).rejects.toMatchObject(refusal('NET_TICKET_EXPIRED', /has expired/));
    expect(names(a)).toEqual(['a']);
  });

  it('refuses a forged token', async () => {
    const a = await bed.up('a');
    const b = await bed.up('b');
    a.invite();
    const { decodeTicket, encodeTicket } = await import('./membership/ticket.ts');
    const forged = encodeTicket({ ...decodeTicket(a.invite()), token: new Uint8Array(16).fill(9) });
    await expect(b.join(forged)).rejects.toMatchObject(
      refusal('NET_JOIN_REFUSED', /was not made by this machine/),
    );
    expect(names(a)).toEqual(['a']);
    expect(names(b)).toEqual(['b']);
  });

  it('refuses a garbled ticket before it touches the network', async () => {
    const b = await bed.up('b');
    await expect(b.join('mesh1zzzz')).rejects.toMatchObject({ code: 'NET_TICKET_GARBLED' });
  });

  it('says where it tried when the inviter is gone', async () => {
    const a = await bed.up('a');
    const b = await bed.up('b');
    const ticket = a.invite();
    await bed.down(a);
    await expect(b.join(ticket)).rejects.toMatchObject(refusal('NET_JOIN_UNREACHABLE', /127\.0\.0\.1/));
    expect(b.meshId).toBe(b.self.peerId);
  });

  it('does not leave a mesh with other members unless forced', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    const c = await bed.up('c');
    await expect(b.join(c.invite())).rejects.toMatchObject({ code: 'NET_JOIN_HAS_MEMBERS' });
    await b.join(c.invite(), { force: true });
    await allConnected([b, c]);
    await until('a lost b', () => a.connectedMembers().length === 0);
    expect(b.meshId).toBe(c.self.peerId);
  });

  it('of the mesh it is in already changes nothing', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    expect(await b.join(a.invite())).toEqual({ meshId: a.meshId, inviter: a.self.peerId });
  });

  it('refuses a ticket on the machine that made it', async () => {
    const a = await bed.up('a');
    await expect(a.join(a.invite())).rejects.toMatchObject(refusal('NET_JOIN_REFUSED', /made the ticket/));
  });
});

describe('a stranger', () => {
  it('is turned away, and listed', async () => {
    const a = await bed.up('a');
    const stranger = await bed.up('s', { peers: a.addresses() });
    await until('a saw it', () => a.strangers().length === 1);
    expect(a.strangers()).toMatchObject([{ peerId: stranger.self.peerId }]);
    expect([a.connectedMembers(), stranger.connectedMembers()]).toEqual([[], []]);
  });

  it('gets nothing but the join protocol while an invitation is open', async () => {
    const a = await bed.up('a');
    let called = 0;
    a.handle(echo, () => {
      called++;
    });
    a.invite();
    const { createNode } = await import('./node.ts');
    const { generateIdentity } = await import('./identity.ts');
    const { multiaddr } = await import('@multiformats/multiaddr');
    const node = await createNode({ identity: generateIdentity(), listen: [], connectionGater: {} });
    await node.start();
    try {
      const connection = await node.dial(multiaddr(a.addresses()[0]));
      for (const id of [echo.id, '/mesh/hello/1.0.0', '/mesh/gossip/1.0.0']) {
        const stream = await connection.newStream(id);
        await until(`${id} is reset`, () => stream.status !== 'open');
      }
      expect(called).toBe(0);
      expect(a.connectedMembers()).toEqual([]);
    } finally {
      await node.stop();
    }
  });
});

describe('a removed member', () => {
  it('is disconnected everywhere, stays out, and is alone again', async () => {
    const [a, b, c] = (await bed.mesh('a', 'b', 'c')) as [MeshNet, MeshNet, MeshNet];
    const down: string[] = [];
    b.events.on('member-down', (peerId, reason) =>
      down.push(`${peerId === c.self.peerId ? 'c' : peerId} ${reason}`),
    );
    await a.remove(c.self.peerId);
    await until('all know', () => [a, b].every((net) => !net.isMember(c.self.peerId)));
    await until('c is out', () => a.connectedMembers().length === 1 && b.connectedMembers().length === 1);
    expect(down).toEqual(['c removed']);
    await until('c is alone', () => c.meshId === c.self.peerId);
    await expect(c.join(a.invite())).rejects.toMatchObject({
      code: 'NET_JOIN_REFUSED',
      message: expect.stringContaining('removed'),
    });
  });

  it('that was away meanwhile is told so when it tries to join anew, and the ticket stays good', async () => {
    const a = await bed.up('a');
    const stateDir = await bed.stateDir();
    const before = await bed.up('b', { stateDir });
    await before.join(a.invite());
    await allConnected([a, before]);
    await bed.down(before);
    await a.remove(before.self.peerId);
    const b = await bed.up('b', { stateDir });
    const ticket = a.invite();
    await expect(b.join(ticket)).rejects.toMatchObject({
      code: 'NET_JOIN_REFUSED',
      message: expect.stringContaining('removed'),
    });
    const c = await bed.up('c');
    await c.join(ticket);
    expect(names(a)).toEqual(['a', 'c']);
  });

  it('cannot be the founder or a stranger, nor be removed by a member without the admin role', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    const c = await bed.up('c');
    await c.join(a.invite());
    await allConnected([a, b, c]);
    await expect(b.remove(a.self.peerId)).rejects.toMatchObject({ code: 'NET_UNKNOWN_MEMBER' });
    await expect(a.remove('12D3KooWnobody')).rejects.toMatchObject({ code: 'NET_UNKNOWN_MEMBER' });
    await expect(c.remove(b.self.peerId)).rejects.toMatchObject({ code: 'NET_NOT_ADMIN' });
  });
});

describe('gossip', () => {
  it('brings a changed record to everybody', async () => {
    const [a, b, c] = (await bed.mesh('a', 'b', 'c')) as [MeshNet, MeshNet, MeshNet];
    a.publish({ ...OWN_RECORD, slots: 7 });
    await until('b and c know', () =>
      [b, c].every((net) => net.members().find(({ name }) => name === 'a')?.record?.slots === 7),
    );
  });

  it('tells a member of what was said before it came', async () => {
    const [a] = (await bed.mesh('a', 'b')) as [MeshNet];
    a.publish({ ...OWN_RECORD, cores: 99 });
    const c = await bed.up('c');
    await c.join(a.invite());
    await until('c has both records', () => c.members().every(({ record }) => record !== undefined));
  });
});

describe('presence', () => {
  it('notices within a second that a member is gone, and when it is back', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    const events: string[] = [];
    a.events.on('member-down', (_peer, reason) => events.push(`down ${reason}`));
    a.events.on('member-up', () => events.push('up'));
    const began = performance.now();
    await bed.down(b);
    await until('a noticed', () => events.length > 0);
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(events).toEqual(['down closed']);
    expect(a.members()).toMatchObject([
      { self: true },
      { name: 'b', connected: false, lastSeenMs: expect.any(Number) },
    ]);
  });

  it('is up once, whoever dialled and however often', async () => {
    const dirs = [await bed.stateDir(), await bed.stateDir()] as const;
    let [a, b] = [await bed.up('a', { stateDir: dirs[0] }), await bed.up('b', { stateDir: dirs[1] })];
    await b.join(a.invite());
    await allConnected([a, b]);
    const addresses = [a.addresses()[0]!, b.addresses()[0]!] as const;
    await Promise.all([bed.down(a), bed.down(b)]);
    const port = (address: string) => [address.replace(/\/p2p\/.*/, '')];
    // Both start at once with each other's address, so both dial.
    [a, b] = await Promise.all([
      bed.up('a', { stateDir: dirs[0], addresses: port(addresses[0]), peers: port(addresses[1]) }),
      bed.up('b', { stateDir: dirs[1], addresses: port(addresses[1]), peers: port(addresses[0]) }),
    ]);
    const ups: string[] = [];
    a.events.on('member-up', () => ups.push('up'));
    a.events.on('member-down', () => ups.push('down'));
    await allConnected([a, b]);
    b.handle(echo, async (channel) => {
      for await (const message of channel) await channel.send(message);
    });
    const channel = await a.open(b.self.peerId, echo);
    await channel.send({ n: 1 });
    expect(await channel.receive()).toEqual({ n: 1 });
    await channel.end();
    expect(ups.filter((event) => event === 'down')).toEqual([]);
  });
});

describe('channels between members', () => {
  it('carry messages both ways', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    const callers: string[] = [];
    b.handle(echo, async (channel, peerId) => {
      callers.push(peerId);
      for await (const { n } of channel) await channel.send({ n: n + 1 });
    });
    const channel = await a.open(b.self.peerId, echo);
    await channel.send({ n: 1 });
    expect(await channel.receive()).toEqual({ n: 2 });
    await channel.end();
    expect(await channel.receive()).toBeUndefined();
    await channel.closed;
    expect(callers).toEqual([a.self.peerId]);
  });

  it('tell the caller when the handler fails', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    b.handle(echo, () => {
      throw new Error('a secret detail');
    });
    const channel = await a.open(b.self.peerId, echo);
    await expect(channel.receive()).rejects.toMatchObject({ code: 'NET_REMOTE', remoteCode: 'INTERNAL' });
  });

  it('cannot be opened to strangers, to members that are away, or over an unknown protocol', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    await expect(a.open('12D3KooWnobody', echo)).rejects.toMatchObject({ code: 'NET_NOT_A_MEMBER' });
    await expect(a.open(b.self.peerId, echo)).rejects.toMatchObject({ code: 'NET_NOT_CONNECTED' });
    await bed.down(b);
    await until('a noticed', () => a.connectedMembers().length === 0);
    await expect(a.open(b.self.peerId, echo)).rejects.toMatchObject({ code: 'NET_NOT_CONNECTED' });
  });

  it('fail when the peer goes away', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    b.handle(echo, async (channel) => {
      await channel.closed;
    });
    const channel = await a.open(b.self.peerId, echo);
    await channel.send({ n: 1 });
    await bed.down(b);
    await expect(channel.receive()).rejects.toMatchObject({ code: 'NET_CLOSED' });
    expect(channel.signal.aborted).toBe(true);
  });
});
