import { beforeEach, describe, expect, it } from 'vitest';
import type { HomeEffect } from './home-protocol.ts';
import {
  after,
  broken,
  built,
  clock,
  grants,
  home,
  job,
  known,
  leaseOf,
  newHome,
  node,
  of,
  started,
  steal,
  up,
} from './home-scenario.ts';
import { machine } from './machine-selector.ts';

beforeEach(newHome);

/** `derivation after derivation` for each link granted. */
function links(effects: readonly HomeEffect[]): string[] {
  const granted = of('grant', effects);
  const derivationOf = (lease: string) => granted.find((grant) => grant.lease === lease)?.drvPath;
  return granted
    .filter(({ follows }) => follows !== undefined)
    .map(({ drvPath, follows }) => `${drvPath} after ${derivationOf(follows!)}`);
}

const short = (name: string, ...dependencies: string[]) => known(name, 500, dependencies);
const run = [short('1'), short('2', '1'), short('3', '2')];

describe('a run of short derivations', () => {
  it('goes as one: each follows the one before in its slot, on one request', () => {
    const effects = after(up('a'), steal('a'), ...job(run));
    expect(grants(effects)).toEqual(['1 <- a', '2 <- a', '3 <- a']);
    expect(links(effects)).toEqual(['2 after 1', '3 after 2']);
    const requests = new Set(of('grant', effects).map(({ request }) => request));
    expect(requests).toEqual(new Set(['r1']));
    expect(home.workers.get('a')?.free).toEqual([]);
    expect(home.jobs.get('j')?.running).toBe(1);
  });

  it('says that it follows, and why', () => {
    const [, second] = of('grant', after(up('a'), steal('a'), ...job(run)));
    expect(second?.reason).toMatch(/^Follows 1 in its slot on a: predicted 0\.5 s from 20 builds/);
  });

  it('is built link by link without another request', () => {
    after(up('a'), steal('a'), ...job(run));
    expect(grants(after(started('1'), built('1')))).toEqual([]);
    expect(home.graph.get('2')?.status).toBe('leased');
    after(built('2'));
    expect(of('job-finished', after(built('3')))).toMatchObject([{ ok: true }]);
  });

  it('ends where something else waits for the same output', () => {
    const nodes = [short('1'), short('2', '1'), short('beside', '1')];
    expect(grants(after(up('a'), steal('a'), ...job(nodes)))).toEqual(['1 <- a']);
  });

  it('ends where something else is needed too', () => {
    const nodes = [short('1'), known('other', 400), short('2', '1', 'other')];
    expect(grants(after(up('a'), steal('a'), ...job(nodes)))).toEqual(['1 <- a']);
  });

  it('ends before what is long, on that machine', () => {
    const nodes = [short('1'), known('long', 3_000, ['1'])];
    expect(grants(after(up('a'), steal('a'), ...job(nodes)))).toEqual(['1 <- a']);
    newHome();
    expect(grants(after(up('a', { speed: 4 }), steal('a'), ...job(nodes)))).toEqual(['1 <- a', 'long <- a']);
  });

  it('ends when all of it together is long', () => {
    const nodes = Array.from({ length: 12 }, (_, i) => known(`${i}`, 1_500, i === 0 ? [] : [`${i - 1}`]));
    const granted = grants(after(up('a'), steal('a'), ...job(nodes)));
    expect(granted.length).toBeGreaterThan(1);
    expect(granted.length * 1_500).toBeLessThanOrEqual(8_000);
  });

  it('leaves out what nobody knows: it may turn out long', () => {
    const unseen = node('2', ['1'], { predictedMs: 100 });
    expect(grants(after(up('a'), steal('a'), ...job([short('1'), unseen])))).toEqual(['1 <- a']);
    newHome();
    const first = node('1', [], { predictedMs: 100 });
    expect(grants(after(up('a'), steal('a'), ...job([first, short('2', '1')])))).toEqual(['1 <- a']);
  });

  it('leaves out what this machine cannot or may not build', () => {
    const kvm = { ...short('2', '1'), requiredFeatures: ['kvm'] };
    after(up('h', { features: ['kvm'] }), up('a'));
    expect(grants(after(steal('a'), ...job([short('1'), kvm])))).toEqual(['1 <- a']);
  });

  it('leaves out what has inputs to be fetched from elsewhere', () => {
    after(up('h'), up('a'), steal('h'), ...job([known('big', 9_000)], {}, 'k'));
    const nodes = [known('big', 9_000), short('1'), short('2', '1', 'big')];
    after(...job(nodes, { not: [machine('h')] }));
    const { lease, attempt } = leaseOf('big');
    const outputs = [{ name: 'out', path: 'big-out', narBytes: 2_000_000_000 }];
    after({ type: 'result', peerId: 'h', lease, attempt, outcome: { type: 'built', outputs } });
    expect(grants(after(steal('a')))).toEqual(['1 <- a']);
  });

  it('is never sent where a job prefers other machines: each link has its own choice', () => {
    const effects = after(up('a'), steal('a'), ...job(run, { prefer: [machine('b')] }));
    expect(grants(effects)).toEqual(['1 <- a']);
  });
});

describe('a chain breaks', () => {
  it('when a link’s machine fails it: the rest is taken back and goes elsewhere with it', () => {
    after(up('h'), up('a'), steal('a'), ...job(run));
    expect(leaseOf('3').peerId).toBe('a');
    const effects = after(broken('1', 'machine-failure'));
    expect(of('cancel', effects).map(({ peerId }) => peerId)).toEqual(['a', 'a']);
    expect(['1', '2', '3'].map((name) => home.graph.get(name)?.status)).toEqual([
      'ready',
      'waiting',
      'waiting',
    ]);
    expect(grants(after(steal('h')))).toEqual(['1 <- h', '2 <- h', '3 <- h']);
    expect(home.graph.get('2')?.failures).toBe(0);
  });

  it('when the build of a link fails: what follows is skipped', () => {
    after(up('a'), steal('a'), ...job(run, { keepGoing: true }));
    after(built('1'));
    const effects = after(broken('2', 'failed'));
    expect(of('cancel', effects)).toHaveLength(1);
    expect(of('job-finished', effects)).toMatchObject([{ ok: false, failed: ['2'], skipped: ['3'] }]);
    expect(home.leases.size).toBe(0);
  });

  it('when its machine is gone: it is leased anew from the first link not built', () => {
    after(up('h'), up('a'), steal('a'), ...job(run));
    after(built('1'), { type: 'outputs-held', drvPath: '1', peerId: 'h' }, started('2'));
    after({ type: 'worker-down', peerId: 'a' });
    expect(grants(after(steal('h')))).toEqual(['2 <- h', '3 <- h']);
    expect([home.graph.get('2')?.failures, home.graph.get('3')?.failures]).toEqual([1, 0]);
  });

  it('when the worker gives a link back: what follows is taken back and costs nothing', () => {
    after(up('h'), up('a'), steal('a'), ...job(run));
    const { lease, attempt } = leaseOf('1');
    const effects = after({ type: 'returned', peerId: 'a', lease, attempt, reason: 'busy' });
    expect(of('cancel', effects)).toHaveLength(2);
    expect(of('attempt-failed', effects)).toEqual([]);
    expect(home.leases.size).toBe(0);
    expect(home.jobs.get('j')?.running).toBe(0);
  });

  it('when its job is cancelled: every link is', () => {
    after(up('a'), steal('a'), ...job(run));
    expect(of('cancel', after({ type: 'job-cancelled', job: 'j' }))).toHaveLength(3);
    expect(home.leases.size).toBe(0);
  });

  it('when the first link turns out to exist: the rest stays, in no slot, until it is built or silent', () => {
    after(up('h'), up('a'), steal('a'), ...job(run));
    const effects = after({ type: 'outputs-valid', drvPath: '1', holders: ['h'] });
    expect(of('cancel', effects).map(({ lease }) => lease)).toContain('h-1');
    clock.now = 60_000;
    after({ type: 'tick' });
    const statuses = ['2', '3'].map((name) => home.graph.get(name)?.status);
    expect(statuses).toEqual(['ready', 'waiting']);
    expect(grants(after(steal('h')))).toEqual(['2 <- h', '3 <- h']);
  });

  it('when the first link is raced and the other runner wins: the rest is leased anew', () => {
    after(up('a', { speed: 0.8 }), steal('a'), ...job([known('1', 1_500), known('2', 1_500, ['1'])]));
    expect(leaseOf('2').peerId).toBe('a');
    after(started('1'), up('h', { speed: 10 }));
    expect(of('grant', after(steal('h')))).toMatchObject([{ drvPath: '1', race: true, peerId: 'h' }]);
    after(built('1'));
    expect(home.graph.get('2')?.status).toBe('ready');
    expect(grants(after(steal('h')))).toEqual(['2 <- h']);
  });
});
