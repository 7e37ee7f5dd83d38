import { beforeEach, describe, expect, it } from 'vitest';
import type { HomeEvent } from './home-protocol.ts';
import {
  after,
  broken,
  built,
  clock,
  type Event,
  grants,
  home,
  job,
  leaseOf,
  newHome,
  node,
  of,
  started,
  steal,
  up,
} from './home-scenario.ts';
import { machine } from './machine-selector.ts';
import type { DerivationNode } from './types.ts';

beforeEach(newHome);

describe('what a free slot gets', () => {
  it('is the derivation with the longest way to the end', () => {
    const nodes = [node('short'), node('long', [], { predictedMs: 500 }), node('end', ['long'])];
    expect(grants(after(up('h'), up('a', { slots: 2 }), ...job(nodes), steal('a')))).toEqual(['long <- a']);
    expect(grants(after(steal('a')))).toEqual(['short <- a']);
  });

  it('is at the home when all is equal, and spreads before it piles up', () => {
    after(up('a', { slots: 2 }), up('h', { slots: 2 }), up('b', { slots: 2 }));
    after(steal('a'), steal('a'), steal('h'), steal('h'), steal('b'), steal('b'));
    const effects = after(...job(['1', '2', '3', '4'].map((name) => node(name))));
    expect(grants(effects)).toEqual(['1 <- h', '2 <- a', '3 <- b', '4 <- h']);
  });

  it('stays with the machine that has its inputs, even with a busy slot there and an idle home', () => {
    after(up('h'), up('a'), ...job([node('1'), node('2', ['1']), node('3', ['2'])], { not: [machine('h')] }));
    after(steal('a'), steal('a', true), steal('h'));
    expect(grants(after(built('1')))).toEqual(['2 <- a']);
    home.jobs.get('j');
    after(steal('a', true));
    expect(grants(after(built('2')))).toEqual(['3 <- a']);
  });

  it('is one whose inputs are there rather than a hardly more urgent one', () => {
    const nodes = [
      node('base-a', [], { predictedMs: 9_000 }),
      node('base-b', [], { predictedMs: 8_000 }),
      node('on-b', ['base-b'], { predictedMs: 950 }),
      node('on-a', ['base-a'], { predictedMs: 1_000 }),
    ];
    after(up('h'), up('a'), up('b'), ...job(nodes), steal('a'), steal('b'));
    after(built('base-a'), built('base-b'));
    expect(grants(after(steal('b')))).toEqual(['on-b <- b']);
  });

  it('says why in one sentence with figures', () => {
    const [grant] = of('grant', after(up('h'), ...job([node('1')]), steal('h')));
    expect(grant?.reason).toMatch(
      /^Ends on h in 1\.0 s: predicted 1\.0 s.*1\.0 s of work hang on it, the longest of 1 ready\.$/,
    );
  });
});

describe('who may build', () => {
  it('is decided by system, features and the job’s wishes', () => {
    const nodes = [
      node('kvm', [], { requiredFeatures: ['kvm'] }),
      node('arm', [], { system: 'aarch64-linux' }),
      node('any', [], { system: 'builtin' }),
    ];
    after(up('h'), up('a', { features: ['kvm'] }), up('b', { systems: ['aarch64-linux'], slots: 2 }));
    after(...job(nodes, { not: [machine('h')], keepGoing: true }));
    expect(grants(after(steal('h'), steal('h')))).toEqual([]);
    expect(grants(after(steal('b'), steal('b'))).sort()).toEqual(['any <- b', 'arm <- b']);
    expect(grants(after(steal('a'), steal('a')))).toEqual(['kvm <- a']);
  });

  it('is the home for what is pinned to it, or anybody where the home cannot', () => {
    after(up('h'), up('a'), steal('a'), ...job([node('source', [], { place: 'prefer-home' })]));
    expect(home.graph.get('source')?.status).toBe('ready');
    expect(grants(after(steal('h')))).toEqual(['source <- h']);
    const away = job([node('other', [], { place: 'prefer-home' })], { not: [machine('h')] }, 'k');
    expect(grants(after(...away))).toEqual(['other <- a']);
  });

  it('is the home alone for what only its Nix can build, as far as the job lets it', () => {
    after(up('h'), up('a'), steal('a'), ...job([node('addressed', [], { place: 'home' })]));
    expect(grants(after(steal('h')))).toEqual(['addressed <- h']);
    const away = job([node('other', [], { place: 'home' })], { not: [machine('h')] }, 'k');
    expect(grants(after(...away))).toEqual([]);
    clock.now = 5_000;
    const [impossible] = of('impossible', after({ type: 'tick' }));
    expect(impossible?.message).toMatch(/its home to build it.*h offers .*, but is left out by --not h/);
  });

  it('is the home for what its substituters offer, whatever machines the job chose', () => {
    after(up('h'), up('a'), steal('a'));
    const offered = node('offered', [], { place: 'substitute' });
    after(...job([offered], { not: [machine('h')] }));
    expect(grants(after(steal('h')))).toEqual(['offered <- h']);
  });

  it('is nobody: the job fails after a while, saying what is missing and who offers what', () => {
    const effects = after(
      up('h', { features: ['kvm'] }),
      ...job([node('x', [], { system: 'riscv64-linux' })]),
    );
    expect(of('wake-at', effects)).toEqual([{ type: 'wake-at', at: 5_000 }]);
    clock.now = 5_000;
    const end = after({ type: 'tick' });
    expect(of('impossible', end)[0]?.message).toMatch(/riscv64-linux.*h offers x86_64-linux, kvm/);
    expect(of('job-finished', end)).toMatchObject([{ ok: false, failed: ['x'] }]);
  });

  it('may be somebody who connects a moment later', () => {
    after(up('h'), ...job([node('x', [], { system: 'riscv64-linux' })]));
    clock.now = 4_000;
    after(up('a', { systems: ['riscv64-linux'] }));
    clock.now = 60_000;
    expect(of('job-finished', after({ type: 'tick' }))).toEqual([]);
    expect(grants(after(steal('a')))).toEqual(['x <- a']);
  });
});

describe('what somebody outside the mesh has', () => {
  const offered = (heldBy?: string[]) =>
    node('offered', [], { place: 'substitute', ...(heldBy && { heldBy }) });

  it.each([
    ['before', (needs: DerivationNode, held: DerivationNode) => [held, needs]],
    ['after', (needs: DerivationNode, held: DerivationNode) => [needs, held]],
  ])('is built by nobody and keeps nothing waiting, described %s what needs it', (_when, order) => {
    after(up('h'), up('a'), steal('a'));
    expect(grants(after(...job(order(node('1', ['offered']), offered(['upstream'])))))).toEqual(['1 <- a']);
    expect(grants(after(steal('h')))).toEqual([]);
  });

  it('is fetched at home once it turned out that a worker cannot get it', () => {
    after(up('h'), up('a'), steal('a'), ...job([node('1', ['offered']), offered(['upstream'])]));
    const effects = after({ type: 'outputs-lost', drvPath: 'offered' }, steal('h'));
    expect(of('derivation-lost', effects)).toMatchObject([{ drvPath: 'offered' }]);
    expect(grants(effects)).toEqual(['offered <- h']);
  });

  it('is fetched at home where another job says so', () => {
    after(up('h'), up('a'), steal('a'), ...job([node('1', ['offered']), offered(['upstream'])]));
    expect(grants(after(steal('h'), ...job([offered()], {}, 'k')))).toEqual(['offered <- h']);
  });
});

describe('ahead requests', () => {
  it('get work only when more is ready than slots wait', () => {
    after(up('h'), up('a'), steal('a', true), steal('h'));
    expect(grants(after(...job([node('1'), node('2')])))).toEqual(['1 <- h', '2 ~ a']);
  });

  it('go where a slot is expected soonest', () => {
    const nodes = [node('slow', [], { predictedMs: 9_000 }), node('fast', [], { predictedMs: 5_000 })];
    after(up('a'), up('b'), steal('a'), steal('b'), ...job([...nodes, node('next')]));
    after(started('slow'), started('fast'));
    expect(grants(after(steal('a', true), steal('b', true)))).toEqual(['next ~ b']);
    newHome();
    after(up('a'), up('b'), steal('a'), steal('b'), ...job(nodes));
    after(started('slow'), started('fast'), steal('a', true), steal('b', true));
    expect(grants(after(...job([node('next')], {}, 'k')))).toEqual(['next ~ b']);
  });

  it('are asked back for a slot that would idle, unless started, and granted there when they come', () => {
    const [added, ...graph] = job([node('1'), node('2')]);
    after(up('h'), up('a'), added!, steal('a'), steal('a', true));
    // Long after everybody heard of the job: no request of the home is expected any more.
    clock.now = 1_000;
    after(...graph);
    const { lease, attempt } = leaseOf('2');
    expect(of('revoke', after(steal('h')))).toEqual([{ type: 'revoke', peerId: 'a', lease, attempt }]);
    expect(of('revoke', after({ type: 'tick' }))).toEqual([]);
    const back = after({ type: 'returned', peerId: 'a', lease, attempt, reason: 'revoked' });
    expect(grants(back)).toEqual(['2 <- h']);
    expect(leaseOf('2').attempt).toBe(2);
  });
});

describe('a lease', () => {
  it('is fenced: only the newest attempt’s first result counts', () => {
    after(up('h'), up('a'), ...job([node('1')]), steal('a'));
    const old = built('1');
    after(started('1'), { type: 'worker-down', peerId: 'a' }, steal('h'));
    expect(leaseOf('1')).toMatchObject({ peerId: 'h', attempt: 2 });
    expect(of('derivation-finished', after(up('a'), old))).toEqual([]);
    const right = built('1');
    expect(of('derivation-finished', after(right, right))).toHaveLength(1);
  });

  it('is answered by its own worker with its own attempt only', () => {
    after(up('h'), up('a'), ...job([node('1')]), steal('a'));
    const right = built('1') as Extract<HomeEvent, { type: 'result' }>;
    expect(of('derivation-finished', after({ ...right, peerId: 'h' }))).toEqual([]);
    expect(of('derivation-finished', after({ ...right, attempt: 2 }))).toEqual([]);
    expect(of('derivation-finished', after(right))).toHaveLength(1);
  });

  it('that had not started costs the derivation nothing when its machine goes', () => {
    after(up('h'), ...job([node('1')]));
    for (let i = 0; i < 5; i++) {
      expect(grants(after(up('a'), steal('a')))).toEqual(['1 <- a']);
      expect(of('attempt-failed', after({ type: 'worker-down', peerId: 'a' }))).toEqual([]);
    }
  });

  it('is lost when nothing renews it until deadline and grace', () => {
    after(up('h'), up('a'), ...job([node('1')]), steal('a'));
    const { lease, attempt } = leaseOf('1');
    after(started('1'));
    clock.now = 9_000;
    after({ type: 'heartbeat', peerId: 'a', leases: [{ lease, attempt }] });
    clock.now = 28_999;
    expect(of('attempt-failed', after({ type: 'tick' }))).toEqual([]);
    clock.now = 29_000;
    expect(of('attempt-failed', after({ type: 'tick' }))).toMatchObject([{ peerId: 'a', attempt: 1 }]);
    const stale: Event = { type: 'heartbeat', peerId: 'a', leases: [{ lease, attempt }] };
    expect(of('cancel', after(stale))).toMatchObject([{ peerId: 'a', lease }]);
  });

  it('goes elsewhere when its machine fails, to the home at last, and fails after the last attempt', () => {
    after(up('h'), up('a'), up('b'), ...job([node('1')]), steal('a'));
    after(broken('1', 'machine-failure'));
    expect(grants(after(steal('a')))).toEqual([]);
    expect(grants(after(steal('b')))).toEqual(['1 <- b']);
    after(broken('1', 'machine-failure'));
    expect(grants(after(steal('b'), up('c'), steal('c')))).toEqual([]);
    expect(grants(after(steal('h')))).toEqual(['1 <- h']);
    const end = after(broken('1', 'machine-failure'));
    expect(of('derivation-finished', end)[0]?.outcome).toMatchObject({ type: 'failed', kind: 'machines' });
  });

  it('that failed on the only machine there is goes there again', () => {
    after(up('h'), ...job([node('1')]), steal('h'));
    after(broken('1', 'machine-failure'));
    expect(grants(after(steal('h')))).toEqual(['1 <- h']);
  });

  it('is built again when the only machine with its outputs is gone and something needs them', () => {
    after(up('h'), up('a'), ...job([node('1'), node('2', ['1'])]), steal('a'));
    after(built('1'));
    const effects = after({ type: 'worker-down', peerId: 'a' }, steal('h'));
    expect(of('derivation-lost', effects)).toMatchObject([{ drvPath: '1' }]);
    expect(grants(effects)).toEqual(['1 <- h']);
    expect(grants(after(built('1'), steal('h')))).toEqual(['2 <- h']);
  });

  it('is built elsewhere, if anybody else can, when its machine cannot give it', () => {
    after(up('h'), up('a', { slots: 2 }), up('b'), ...job([node('1'), node('2', ['1'])]), steal('a'));
    after(built('1'));
    const effects = after({ type: 'outputs-lost', drvPath: '1' }, steal('a'));
    expect(of('derivation-lost', effects)).toMatchObject([{ drvPath: '1' }]);
    expect(grants(effects)).toEqual([]);
    expect(grants(after(steal('b')))).toEqual(['1 <- b']);
    after(built('1'), { type: 'worker-down', peerId: 'b' });
    expect(grants(after({ type: 'worker-down', peerId: 'h' }, steal('a')))).toEqual(['1 <- a']);
  });

  it('goes to a machine that it should avoid only where no other can build it', () => {
    after(up('a'), up('b'), ...job([node('1', [], { avoid: ['a'] })]), steal('a'));
    expect(home.leases.size).toBe(0);
    expect(grants(after({ type: 'worker-down', peerId: 'b' }))).toEqual(['1 <- a']);
  });

  it('is built again with everything it needs that is gone too', () => {
    const nodes = [node('1'), node('2', ['1']), node('3', ['2'])];
    after(up('h'), up('a'), ...job(nodes), steal('a'));
    after(built('1'), steal('a'));
    after(built('2'));
    const effects = after({ type: 'worker-down', peerId: 'a' }, steal('h'), steal('h'));
    expect(grants(effects)).toEqual(['1 <- h']);
    expect(grants(after(built('1')))).toEqual(['2 <- h']);
  });

  it('is built again when what needs it comes only after its outputs are gone', () => {
    after(up('h'), up('a'), steal('a'));
    after({ type: 'job-added', job: 'j', options: { keepGoing: false } });
    const add = (...derivations: DerivationNode[]): Event => ({
      type: 'derivations-added',
      job: 'j',
      derivations,
    });
    after(add(node('1'), node('2', ['1']), node('other', [], { predictedMs: 1 })));
    after(built('1'), steal('a'));
    after(built('2'));
    after({ type: 'outputs-held', drvPath: '2', peerId: 'h' }, { type: 'worker-down', peerId: 'a' });
    expect(grants(after(add(node('3', ['1'], { predictedMs: 9_000 })), steal('h')))).toEqual(['1 <- h']);
  });

  it('is not built again when somebody else has fetched its outputs', () => {
    after(up('h'), up('a'), ...job([node('1'), node('2', ['1'])]), steal('a'));
    after(built('1'), { type: 'outputs-held', drvPath: '1', peerId: 'h' });
    const effects = after({ type: 'worker-down', peerId: 'a' }, steal('h'));
    expect(grants(effects)).toEqual(['2 <- h']);
  });
});

describe('a job', () => {
  it('ends when all it has is built; empty ones at once', () => {
    expect(of('job-finished', after(...job([])))).toMatchObject([{ job: 'j', ok: true }]);
    after(up('h'), ...job([node('1')], {}, 'k'), steal('h'));
    expect(of('job-finished', after(built('1')))).toMatchObject([
      { job: 'k', ok: true, failed: [], skipped: [] },
    ]);
    expect(home.graph.size).toBe(0);
  });

  it('stops at its first failure, and what only it needs is cancelled', () => {
    after(up('h'), up('a'), steal('h'), steal('a'), ...job([node('1'), node('2'), node('3', ['1'])]));
    const running = leaseOf('2');
    const effects = after(broken('1', 'failed'));
    expect(of('cancel', effects)).toMatchObject([{ lease: running.lease }]);
    expect(of('job-finished', effects)).toMatchObject([{ ok: false, failed: ['1'] }]);
    expect(of('job-finished', effects)[0]?.skipped.toSorted()).toEqual(['2', '3']);
  });

  it('goes on without what failed when told to keep going', () => {
    after(up('h'), steal('h'), ...job([node('1'), node('2'), node('3', ['1'])], { keepGoing: true }));
    expect(grants(after(broken('1', 'failed'), steal('h')))).toEqual(['2 <- h']);
    expect(of('job-finished', after(built('2')))).toMatchObject([
      { ok: false, failed: ['1'], skipped: ['3'] },
    ]);
  });

  it('that is cancelled leaves running what another job needs', () => {
    after(up('h'), up('a'), steal('h'), steal('a'), ...job([node('shared'), node('own')]));
    after(...job([node('shared')], {}, 'k'));
    const own = leaseOf('own').lease;
    const effects = after({ type: 'job-cancelled', job: 'j' });
    expect(of('cancel', effects)).toMatchObject([{ lease: own }]);
    expect(of('job-finished', effects)).toMatchObject([{ job: 'j', ok: false, cancelled: true }]);
    const end = after(built('shared'));
    expect(of('derivation-finished', end)).toMatchObject([{ jobs: ['k'] }]);
    expect(of('job-finished', end)).toMatchObject([{ job: 'k', ok: true }]);
  });

  it('fails with the circle’s name, and with that of what never came', () => {
    const circle = after(...job([node('1', ['2']), node('2', ['1'])]));
    expect(of('derivation-finished', circle)[0]?.outcome).toMatchObject({ kind: 'invalid' });
    expect(of('job-finished', circle)).toMatchObject([{ ok: false }]);
    const open = after(...job([node('1', ['nowhere'])], {}, 'k'));
    expect(of('derivation-finished', open)[0]?.outcome).toMatchObject({
      message: expect.stringContaining('nowhere'),
    });
  });

  it('need not build what turns out to exist', () => {
    after(up('h'), up('a'), steal('a'), ...job([node('1'), node('2', ['1'])]));
    const effects = after({ type: 'outputs-valid', drvPath: '1', holders: ['h'] });
    expect(of('cancel', effects)).toMatchObject([{ peerId: 'a' }]);
    expect(grants(after(steal('h')))).toEqual(['2 <- h']);
  });

  it('is made known to every worker, and its end too', () => {
    const effects = after(up('h'), ...job([node('1')]), up('a'), { type: 'job-cancelled', job: 'j' });
    const said = of('advertise', effects).map((a) => `${a.peerId} ${a.work}`);
    expect(said).toEqual(['h true', 'a true', 'h false', 'a false']);
  });
});
