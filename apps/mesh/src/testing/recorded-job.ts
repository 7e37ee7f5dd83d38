import type { JobEvent, JobReport } from '@mesh/wire';

type JobFinished = Extract<JobEvent, { type: 'job-finished' }>;

export const drv = (name: string) => `/nix/store/${'0'.repeat(32)}-${name}.drv`;

function derivation(name: string, peer: string | null, outcome: JobReport['derivations'][number]['outcome']) {
  const ran = outcome === 'built' || outcome === 'failed';
  return {
    drvPath: drv(name),
    name,
    peer,
    attempt: ran ? 1 : 0,
    readyMs: ran ? 0 : null,
    leasedMs: ran ? 1 : null,
    fetchedMs: ran ? 2 : null,
    startedMs: ran ? 100 : null,
    finishedMs: ran ? 3_300 : null,
    outcome,
    why: 'first in the queue, nothing to fetch',
  };
}

/** A report of these builds: `[name, machine, outcome]`. */
export function reportOf(
  builds: readonly (readonly [string, string | null, JobReport['derivations'][number]['outcome']])[],
  changes: Partial<JobReport> = {},
): JobReport {
  const peers = Map.groupBy(
    builds.filter(([, peer, outcome]) => peer !== null && outcome === 'built'),
    ([, peer]) => peer!,
  );
  return {
    version: 1,
    job: 'job-1',
    ok: builds.every(([, , outcome]) => outcome === 'built' || outcome === 'valid'),
    startedAt: '2026-11-22T10:00:00.000Z',
    wallMs: 4_300,
    lowerBoundMs: 4_000,
    criticalPath: builds.slice(0, 1).map(([name]) => drv(name)),
    bytesFetched: 0,
    peers: [...peers].map(([name, own]) => ({
      name,
      builds: own.length,
      busyMs: 3_200 * own.length,
      bytesIn: 2_000_000,
      bytesOut: 1_500,
    })),
    derivations: builds.map(([name, peer, outcome]) => derivation(name, peer, outcome)),
    ...changes,
  };
}

export function finishedWith(report: JobReport, changes: Partial<JobFinished> = {}): JobFinished {
  return {
    type: 'job-finished',
    atMs: report.wallMs,
    job: report.job,
    ok: report.ok,
    cancelled: false,
    outputs: [],
    failed: report.derivations.filter(({ outcome }) => outcome === 'failed').map(({ drvPath }) => drvPath),
    report,
    ...changes,
  };
}

const about = (name: string) => ({ drvPath: drv(name), name });

/** A small job as a home tells it: zlib on h2 (whose machine then goes), libpng on h1, jq fails on h3. */
export const recordedJob: readonly JobEvent[] = [
  { type: 'job-started', atMs: 0, job: 'job-1', home: 'h1' },
  { type: 'planned', atMs: 5, toBuild: 3, toFetch: 2, valid: 10 },
  { type: 'peer', atMs: 6, peer: 'h2', state: 'up' },
  { type: 'leased', atMs: 10, ...about('zlib-1.3'), peer: 'h2', attempt: 1, why: 'first in the queue' },
  { type: 'fetching', atMs: 20, ...about('zlib-1.3'), peer: 'h2', paths: 2, bytes: 1_234_567 },
  { type: 'started', atMs: 100, ...about('zlib-1.3'), peer: 'h2' },
  { type: 'phase', atMs: 150, ...about('zlib-1.3'), phase: 'buildPhase' },
  { type: 'log', atMs: 200, ...about('zlib-1.3'), lines: ['cc -c adler32.c', 'cc -c crc32.c'] },
  { type: 'finished', atMs: 3_300, ...about('zlib-1.3'), peer: 'h2', outcome: 'built', durationMs: 3_200 },
  { type: 'started', atMs: 3_310, ...about('libpng-1.6'), peer: 'h2' },
  { type: 'started', atMs: 3_320, ...about('jq-1.7'), peer: 'h3' },
  { type: 'requeued', atMs: 3_400, ...about('libpng-1.6'), peer: 'h2', reason: 'the machine is gone' },
  { type: 'peer', atMs: 3_400, peer: 'h2', state: 'down' },
  { type: 'started', atMs: 3_410, ...about('libpng-1.6'), peer: 'h1' },
  {
    type: 'finished',
    atMs: 3_500,
    ...about('jq-1.7'),
    peer: 'h3',
    outcome: 'failed',
    durationMs: 180,
    message: 'builder failed with exit code 2',
    logTail: ['jq.c:1: error: no', 'make: *** [jq.o] Error 1'],
  },
  { type: 'finished', atMs: 4_300, ...about('libpng-1.6'), peer: 'h1', outcome: 'built', durationMs: 890 },
  finishedWith(
    reportOf([
      ['zlib-1.3', 'h2', 'built'],
      ['libpng-1.6', 'h1', 'built'],
      ['jq-1.7', 'h3', 'failed'],
    ]),
  ),
];

/** A toolchain comes to h2 from two machines, and the result home. */
export const recordedFetch: readonly JobEvent[] = [
  { type: 'job-started', atMs: 0, job: 'job-3', home: 'h1' },
  { type: 'planned', atMs: 5, toBuild: 1, toFetch: 0, valid: 0 },
  { type: 'fetching', atMs: 1_000, ...about('jq-1.7'), peer: 'h2', paths: 12, bytes: 41_943_040 },
  {
    ...{ type: 'fetch-progress', atMs: 1_500, ...about('jq-1.7'), peer: 'h2' },
    ...{ pathsDone: 3, pathsTotal: 12, bytesDone: 12_300_000, bytesTotal: 41_943_040, bytesPerS: 35_000_000 },
    sources: { upstream: 2_300_000, h1: 10_000_000 },
  },
  { type: 'started', atMs: 9_000, ...about('jq-1.7'), peer: 'h2' },
  { type: 'finished', atMs: 9_100, ...about('jq-1.7'), peer: 'h2', outcome: 'built', durationMs: 100 },
  { type: 'result-fetch', atMs: 9_200, paths: 1, bytes: 5_000_000, done: false },
  {
    ...{ type: 'result-fetch', atMs: 9_700, paths: 1, bytes: 5_000_000, done: false },
    progress: {
      ...{ pathsDone: 0, pathsTotal: 1, bytesDone: 2_000_000, bytesTotal: 5_000_000, bytesPerS: 4_000_000 },
      sources: { h2: 2_000_000 },
    },
  },
];

/** Two machines race for gcc: h3, the second, is first. */
export const recordedRace: readonly JobEvent[] = [
  { type: 'job-started', atMs: 0, job: 'job-2', home: 'h1' },
  { type: 'planned', atMs: 5, toBuild: 1, toFetch: 0, valid: 0 },
  { type: 'leased', atMs: 10, ...about('gcc-14'), peer: 'h2', attempt: 1, why: 'the longest of 1 ready' },
  { type: 'started', atMs: 100, ...about('gcc-14'), peer: 'h2' },
  {
    type: 'leased',
    atMs: 5_000,
    ...about('gcc-14'),
    peer: 'h3',
    attempt: 2,
    why: 'h3 would idle',
    race: true,
  },
  { type: 'race', atMs: 5_000, ...about('gcc-14'), peer: 'h3', against: 'h2', expectedMs: 4_000 },
  { type: 'started', atMs: 5_100, ...about('gcc-14'), peer: 'h3' },
  { type: 'phase', atMs: 5_200, ...about('gcc-14'), phase: 'buildPhase', peer: 'h3' },
  {
    type: 'race-finished',
    atMs: 9_000,
    ...about('gcc-14'),
    winner: 'h3',
    loser: 'h2',
    raceWon: true,
    wastedMs: 8_900,
  },
  { type: 'finished', atMs: 9_000, ...about('gcc-14'), peer: 'h3', outcome: 'built', durationMs: 3_900 },
  {
    type: 'outputs-differ',
    atMs: 9_100,
    ...about('gcc-14'),
    output: '/nix/store/x-gcc-14',
    first: { peer: 'h3', narHash: 'sha256:aaa' },
    second: { peer: 'h2', narHash: 'sha256:bbb' },
  },
];

/** What a report says beyond the builds, of a job whose second machine was slow. */
export const reportedHindsight: Partial<JobReport> = {
  wallMs: 4_300,
  lowerBoundMs: 3_300,
  boundBy: 'machines',
  losses: [
    { cause: 'slots', ms: 600 },
    { cause: 'transfer', ms: 350 },
    { cause: 'overhead', ms: 50 },
  ],
  races: { count: 2, won: 1, wastedMs: 900, wastedShare: 0.0349 },
  whatIf: [
    { like: 'h1', wallMs: 3_000, savedMs: 1_300 },
    { like: 'h2', wallMs: 4_300, savedMs: 0 },
    { like: 'h3', wallMs: 3_000, savedMs: 1_300 },
  ],
  homeIdle: { count: 0, ms: 0 },
};
