import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MeshNet, silentLogger, systemClock } from '@mesh/net';
import { NetBed, until } from '@mesh/net/testing';
import { HISTORY_MAX_ROWS, historyProtocol } from '@mesh/wire';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PAGES_PER_MINUTE } from './constants.ts';
import { History } from './history.ts';
import { HistoryShare } from './history-share.ts';

const SYSTEM = 'x86_64-linux';

let bed: NetBed;
let cleanUps: (() => Promise<void>)[];
beforeEach(() => {
  bed = new NetBed();
  cleanUps = [];
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
  for (const cleanUp of cleanUps) await cleanUp();
});

/** The history of a machine, and its dealings with the others. */
async function sharing(net: MeshNet): Promise<History> {
  const stateDir = await mkdtemp(join(tmpdir(), 'mesh-history-'));
  const history = new History(
    { stateDir, self: net.self.peerId },
    { clock: systemClock, logger: silentLogger, isMember: (peerId) => net.isMember(peerId) },
  );
  const share = new HistoryShare({ net, clock: systemClock, logger: silentLogger, history });
  cleanUps.push(async () => {
    share.stop();
    await history.close();
    await rm(stateDir, { recursive: true, force: true });
  });
  await history.open();
  share.start();
  return history;
}

function build(history: History, machine: MeshNet, name: string, wallMs = 40_000): void {
  history.record({
    name,
    system: SYSTEM,
    machine: machine.self.peerId,
    at: Date.now(),
    wallMs,
    outcome: 'built',
  });
}

const knows = (history: History, name: string) => history.predict(name, SYSTEM).history.basis === 'name';

describe('members', () => {
  it('hear of each other’s builds shortly after', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    const [ofA, ofB] = [await sharing(a), await sharing(b)];
    build(ofA, a, 'zlib-1.3');
    build(ofB, b, 'hello-2.12');
    await until('both know both', () => knows(ofA, 'hello-2.12') && knows(ofB, 'zlib-1.3'));
    expect(ofB.predict('zlib-1.3', SYSTEM).history.samples).toBe(1);
  });

  it('learn at once, when they come, all that is known; also of machines that are away', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    const [ofA, ofB] = [await sharing(a), await sharing(b)];
    const many = 2 * HISTORY_MAX_ROWS + 17;
    for (let i = 0; i < many; i++) build(ofB, b, `package${i}-1`);
    await until('a has them', () => ofA.marks().length > 0 && knows(ofA, `package${many - 1}-1`));
    await bed.down(b);
    const c = await bed.up('c');
    const ofC = await sharing(c);
    await c.join(a.invite());
    await until('c has them from a', () => knows(ofC, `package${many - 1}-1`));
    expect(ofC.since(new Map(), [b.self.peerId], 10 * many)).toHaveLength(many);
  });
});

describe('a member that asks too often', () => {
  it('is told no more than a round’s worth a minute', async () => {
    const [a, b] = (await bed.mesh('a', 'b')) as [MeshNet, MeshNet];
    const ofA = await sharing(a);
    build(ofA, a, 'zlib-1.3');
    const channel = await b.open(a.self.peerId, historyProtocol);
    let pages = 0;
    for (let i = 0; i < PAGES_PER_MINUTE + 20; i++) {
      await channel.send({ type: 'since', have: [] });
      if (((await channel.receive())?.rows.length ?? 0) > 0) pages++;
    }
    await channel.end();
    expect(pages).toBe(PAGES_PER_MINUTE);
  });
});
