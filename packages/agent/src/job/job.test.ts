import { describe, expect, test } from 'vitest';
import { drv, jobAtHome, machine, planned } from './job-scenario.ts';
import type { GivenLease } from './timeline.ts';

describe('a derivation that two machines race for', () => {
  function race(logs = false) {
    const home = jobAtHome(logs);
    home.job.planned([planned('gcc')], 0, 0);
    home.at(10);
    const first = home.lease('h2', 'gcc');
    home.job.leases.started(first);
    home.job.leases.log(first, ['first: 1'], undefined);
    home.at(5_000);
    const second = home.lease('h3', 'gcc', { race: true });
    home.at(5_100);
    home.job.leases.started(second);
    home.job.leases.log(second, ['second: 1'], undefined);
    home.job.leases.log(first, ['first: 2'], undefined);
    return { ...home, first, second };
  }

  test('is on both machines until one is first', () => {
    const { job, events } = race();
    expect(job.view().running.map(({ peer }) => peer)).toEqual(['h2', 'h3']);
    expect(events.find(({ type }) => type === 'race')).toMatchObject({ peer: 'h3', against: 'h2' });
  });

  test('shows the log of the first runner till the other has won, and then the whole log of that', () => {
    const { job, second, built } = race();
    const log = job.logs.of(drv('gcc'));
    expect(log.lines()).toEqual(['first: 1', 'first: 2']);
    job.leases.log(second, ['second: 2'], undefined);
    built(second, 3_000);
    expect(log.lines()).toEqual(['second: 1', 'second: 2']);
  });

  test('streams no line of the loser between those of the winner', () => {
    const { job, events, first, second, built } = race(true);
    built(first, 6_000);
    job.leases.log(second, ['second: late'], undefined);
    const lines = events.flatMap((event) => (event.type === 'log' ? event.lines : []));
    expect(lines).toEqual(['first: 1', 'first: 2']);
  });

  test("has the winner's figures, and both attempts, in the report", () => {
    const { job, second, built, at } = race();
    at(9_000);
    job.leases.leaseEnded(
      { ...second, lease: 'l-1', peerId: 'h2' },
      'cancelled',
      'another machine was faster',
    );
    job.leases.raceFinished(drv('gcc'), { winner: 'h3', loser: 'h2', raceWon: true, wastedMs: 8_990 });
    built(second, 3_800);
    job.end('built');
    const report = job.report();
    expect(report.derivations[0]).toMatchObject({
      peer: 'h3',
      attempt: 2,
      leasedMs: 5_000,
      startedMs: 5_100,
      finishedMs: 9_000,
      why: 'because of h3',
      race: { won: true, wastedMs: 8_990 },
      attempts: [
        { peer: 'h2', outcome: 'lost', startedMs: 10, endedMs: 9_000, detail: 'h3 was first' },
        { peer: 'h3', outcome: 'won', race: true, endedMs: 9_000 },
      ],
    });
    expect(report.races).toEqual({ count: 1, won: 1, wastedMs: 8_990, wastedShare: 8_990 / (3 * 9_000) });
    expect(report.peers.map(({ name }) => name)).toEqual(['home', 'h3']);
  });

  test('goes on with the racer where the first machine fails', () => {
    const { job, first, types } = race();
    job.leases.requeued(first, 'the machine is gone');
    expect(types().at(-1)).toBe('requeued');
    expect(job.view().running.map(({ peer }) => peer)).toEqual(['h3']);
    expect(job.logs.of(drv('gcc')).lines()).toEqual(['second: 1']);
  });
});

describe('a lease that another job brought', () => {
  test('begins for this job when it is first heard of', () => {
    const { job, at } = jobAtHome();
    job.planned([planned('shared')], 0, 0);
    at(500);
    const lease: GivenLease = {
      ...{ lease: 'other-1', attempt: 1, drvPath: drv('shared'), peerId: 'h2', race: false },
      ...{ chained: false, cores: 1, expectedMs: 0, reason: 'for another job' },
    };
    job.leases.started(lease);
    expect(job.view().running).toEqual([{ drvPath: drv('shared'), name: 'shared', peer: 'h2' }]);
  });
});

describe('the inputs of a lease on their way', () => {
  const progress = (bytesDone: number) => ({
    ...{ pathsDone: 1, pathsTotal: 3, bytesDone, bytesTotal: 9_000, bytesPerS: 1_234.5 },
    sources: [
      { peer: 'home', bytes: bytesDone },
      { peer: 'upstream', bytes: 0 },
    ],
  });
  const told = (bytesDone: number) => ({
    ...{ pathsDone: 1, pathsTotal: 3, bytesDone, bytesTotal: 9_000, bytesPerS: 1_235 },
    sources: { home: bytesDone, upstream: 0 },
  });

  function fetching() {
    const home = jobAtHome();
    home.job.planned([planned('a')], 0, 0);
    const lease = home.lease('h2', 'a');
    home.job.leases.fetching(lease, 3, 9_000);
    home.at(1_000);
    home.job.leases.fetchProgress(lease, progress(4_000));
    return { ...home, given: lease };
  }

  test('are told of as they come, and are in the view of the job', () => {
    const { job, events } = fetching();
    const a = { drvPath: drv('a'), name: 'a', peer: 'h2' };
    expect(events.at(-1)).toEqual({ type: 'fetch-progress', atMs: 1_000, ...a, ...told(4_000) });
    expect(job.view()).toMatchObject({
      fetching: [{ ...a, ...told(4_000) }],
      fetchedBytes: 4_000,
      bytesPerS: 1_235,
    });
  });

  test('have no rate when nothing was heard for a while', () => {
    const { job, at } = fetching();
    at(10_000);
    expect(job.view()).toMatchObject({ fetching: [{ bytesDone: 4_000, bytesPerS: 0 }], bytesPerS: 0 });
  });

  test('count among what came for the job when they are there, also where the lease was in vain', () => {
    const { job, events, given, lease, built } = fetching();
    job.leases.requeued(given, 'the machine is gone');
    expect(job.view()).toMatchObject({ fetching: [], fetchedBytes: 4_000 });
    const second = lease('h3', 'a');
    job.leases.fetchProgress(second, progress(5_000));
    job.leases.fetched(second, 9_000);
    job.leases.fetchProgress(second, progress(6_000));
    built(second, 100);
    expect(job.view()).toMatchObject({ fetching: [], fetchedBytes: 13_000 });
    expect(events.filter(({ type }) => type === 'fetch-progress')).toHaveLength(2);
  });

  test('and the result on its way home likewise', () => {
    const { job, events } = fetching();
    job.resultComing(progress(700));
    expect(events.at(-1)).toEqual({
      ...{ type: 'result-fetch', atMs: 1_000, paths: 3, bytes: 9_000, done: false },
      progress: told(700),
    });
    expect(job.view()).toMatchObject({ resultFetch: told(700), fetchedBytes: 4_700, bytesPerS: 2_470 });
  });
});

describe('the next link of a chain', () => {
  test('counts as leased when it is ready, though its machine had it before', () => {
    const { job, at, lease, built } = jobAtHome();
    job.planned([planned('a'), planned('b', { dependencies: [drv('a')] })], 0, 0);
    const a = lease('h2', 'a');
    const b = lease('h2', 'b', { chained: true });
    job.leases.started(a);
    at(1_000);
    built(a, 1_000);
    job.leases.fetched(b, 0);
    job.leases.started(b);
    at(2_000);
    built(b, 1_000);
    job.end('built');
    const report = job.report();
    expect(report.derivations[1]).toMatchObject({ readyMs: 1_000, leasedMs: 1_000, startedMs: 1_000 });
    expect(report).toMatchObject({
      wallMs: 2_000,
      lowerBoundMs: 2_000,
      losses: [],
      chain: [drv('a'), drv('b')],
    });
  });
});

describe('the report of a job', () => {
  test('measures with the speeds of the machines, and says what more of them would have saved', () => {
    const { job, at, lease, built } = jobAtHome();
    job.meet(machine('h2', { speed: 2 }));
    job.planned([planned('a'), planned('b')], 0, 0);
    const slow = lease('home', 'a');
    job.leases.started(slow);
    at(1_000);
    const late = lease('home', 'b');
    at(4_000);
    built(slow, 4_000);
    job.leases.started(late);
    at(8_000);
    built(late, 4_000);
    job.end('built');
    const report = job.report();
    // Two builds use two slots at most: 8 s of ordinary work at the speeds 2 and 1.
    expect(report.lowerBoundMs).toBe(2_666.7);
    expect(report.losses?.reduce((sum, { ms }) => sum + ms, 0)).toBeCloseTo(5_333.3);
    expect(report.whatIf?.map(({ like }) => like)).toEqual(['home', 'h2', 'h3']);
    expect(report.peers).toEqual([
      expect.objectContaining({ name: 'home', slots: 1, speed: 1, busyMs: 8_000, idleMs: 0 }),
    ]);
  });

  test('of a job with nothing to build is all nought', () => {
    const { job, at } = jobAtHome();
    at(50);
    job.planned([], 0, 7);
    job.end('built');
    expect(job.report()).toMatchObject({
      wallMs: 50,
      lowerBoundMs: 0,
      criticalPath: [],
      chain: [],
      losses: [{ cause: 'planning', ms: 50 }],
      homeIdle: { count: 0, ms: 0 },
      races: { count: 0, won: 0, wastedMs: 0, wastedShare: 0 },
    });
  });

  test('names outputs that differ', () => {
    const { job, events } = jobAtHome();
    job.planned([planned('gcc')], 0, 0);
    const first = { peerId: 'h2', narHash: 'sha256:a' };
    const second = { peerId: 'h3', narHash: 'sha256:b' };
    job.outputsDiffer(drv('gcc'), { output: '/nix/store/x', first, second });
    expect(job.report().differing).toEqual([
      {
        drvPath: drv('gcc'),
        name: 'gcc',
        output: '/nix/store/x',
        first: { peer: 'h2', narHash: 'sha256:a' },
        second: { peer: 'h3', narHash: 'sha256:b' },
      },
    ]);
    expect(events.at(-1)?.type).toBe('outputs-differ');
  });
});

describe('a derivation that more becomes known of', () => {
  test('is reported with what was predicted last', () => {
    const { job } = jobAtHome();
    job.planned([planned('gcc')], 0, 0);
    const history = { basis: 'family', samples: 3, spread: 0.4 } as const;
    job.predicted(drv('gcc'), { predictedMs: 9_000, history });
    job.predicted(drv('of another job'), { predictedMs: 1, history });
    expect(job.report().derivations).toMatchObject([{ predictedMs: 9_000, predictedFrom: 'family' }]);
  });
});
