import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { silentLogger } from '@mesh/net';
import { ManualClock } from '@mesh/net/testing';
import { type BuildRecord, SAMPLES_PER_KEY } from '@mesh/schedule';
import type { HistoryRow } from '@mesh/wire';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FLUSH_DELAY_MS, RACES_FORGOTTEN_MS, RACES_LOST } from './constants.ts';
import { History } from './history.ts';

const SELF = peer('Self');
const OTHER = peer('Ther');
const SYSTEM = 'x86_64-linux';

/** Something shaped like a peer id. */
function peer(tag: string): string {
  return `12D3KooW${tag.padEnd(44, 'x')}`;
}

let stateDir: string;
let clock: ManualClock;
let warnings: string[];
const open: History[] = [];

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'mesh-history-'));
  clock = new ManualClock();
  warnings = [];
});
afterEach(async () => {
  for (const history of open.splice(0)) await history.close();
  await rm(stateDir, { recursive: true, force: true });
});

async function history(members: readonly string[] = [OTHER]): Promise<History> {
  const made = new History(
    { stateDir, self: SELF },
    {
      clock,
      logger: {
        ...silentLogger,
        warn: (...said: unknown[]) => void warnings.push(String(said.at(-1))),
      },
      isMember: (peerId) => members.includes(peerId),
    },
  );
  open.push(made);
  await made.open();
  return made;
}

/** The agent ends and starts again. */
async function restarted(before: History): Promise<History> {
  await before.close();
  open.splice(open.indexOf(before), 1);
  return history();
}

function built(name: string, wallMs: number, more: Partial<BuildRecord> = {}): BuildRecord {
  return { name, system: SYSTEM, machine: SELF, at: clock.now(), wallMs, outcome: 'built', ...more };
}

function row(sequence: number, more: Partial<HistoryRow> = {}): HistoryRow {
  return { ...built('zlib-1.3', 40_000), origin: OTHER, sequence, ...more } as HistoryRow;
}

describe('what is recorded', () => {
  it('is predicted from at once, and after a restart', async () => {
    const first = await history();
    first.record(built('zlib-1.3', 40_000, { memoryPeakBytes: 1e9, cpuMs: 39_000, cores: 4 }));
    const said = first.predict('zlib-1.3', SYSTEM);
    expect(said.history).toMatchObject({ basis: 'name', samples: 1, memoryPeakBytes: 1e9 });
    expect((await restarted(first)).predict('zlib-1.3', SYSTEM)).toEqual(said);
  });

  it('is written behind the builds, and before the agent ends', async () => {
    const first = await history();
    const file = new DatabaseSync(join(stateDir, 'history.sqlite'));
    const count = () => file.prepare('SELECT count(*) AS n FROM builds').get()?.n;
    first.record(built('zlib-1.3', 40_000));
    expect(count()).toBe(0);
    clock.pass(FLUSH_DELAY_MS);
    expect(count()).toBe(1);
    first.record(built('zlib-1.3', 40_000));
    await restarted(first);
    expect(count()).toBe(2);
    file.close();
  });

  it('is kept as far as predictions look', async () => {
    const first = await history();
    for (let i = 0; i < 3 * SAMPLES_PER_KEY; i++)
      first.record(built('zlib-1.3', 1_000 + i, { at: clock.now() + i }));
    first.record(built('hello-2.12', 1_000));
    await restarted(first);
    const file = new DatabaseSync(join(stateDir, 'history.sqlite'));
    expect(
      file.prepare('SELECT name, count(*) AS n, min(wall_ms) AS oldest FROM builds GROUP BY name').all(),
    ).toEqual([
      { name: 'hello-2.12', n: 1, oldest: 1_000 },
      { name: 'zlib-1.3', n: SAMPLES_PER_KEY, oldest: 1_000 + 2 * SAMPLES_PER_KEY },
    ]);
    file.close();
  });

  it('is nothing where it cannot be true', async () => {
    const made = await history();
    made.record(built('zlib-1.3', -1));
    made.record(built('zlib-1.3', Number.NaN));
    made.record(built('zlib-1.3', 5, { at: clock.now() + 1e9 }));
    expect(made.predict('zlib-1.3', SYSTEM).history.basis).toBe('cold');
  });
});

describe('the file', () => {
  it('that is no database is set aside, with one warning, and a new one begun', async () => {
    await writeFile(
      join(stateDir, 'history.sqlite'),
      'rubbish, and long enough to be looked at '.repeat(200),
    );
    const made = await history();
    made.record(built('zlib-1.3', 40_000));
    expect(warnings).toHaveLength(1);
    expect(await readdir(stateDir)).toContain('history.sqlite.damaged');
    expect((await restarted(made)).predict('zlib-1.3', SYSTEM).history.basis).toBe('name');
    expect(warnings).toHaveLength(1);
  });

  it('that is damaged in the middle likewise', async () => {
    const made = await history();
    for (let i = 0; i < 2_000; i++) made.record(built(`package${i}-1`, 1_000 + i));
    await made.close();
    open.splice(0);
    const path = join(stateDir, 'history.sqlite');
    const { readFile } = await import('node:fs/promises');
    const bytes = await readFile(path);
    await writeFile(path, bytes.fill(0x5a, 8_192, bytes.length));
    const again = await history();
    expect(warnings).toHaveLength(1);
    again.record(built('zlib-1.3', 40_000));
    expect((await restarted(again)).predict('zlib-1.3', SYSTEM).history.basis).toBe('name');
  });

  it('of a newer version is left alone, and the agent remembers without one', async () => {
    const file = new DatabaseSync(join(stateDir, 'history.sqlite'));
    file.exec('CREATE TABLE things (x); PRAGMA user_version = 99');
    const made = await history();
    made.record(built('zlib-1.3', 40_000));
    expect(made.predict('zlib-1.3', SYSTEM).history.basis).toBe('name');
    expect(warnings).toEqual([expect.stringMatching(/newer mesh .*update/)]);
    expect(file.prepare('SELECT name FROM sqlite_master').all()).toEqual([{ name: 'things' }]);
    file.close();
  });

  it('that cannot be made is done without', async () => {
    await writeFile(join(stateDir, 'not-a-directory'), '');
    const real = stateDir;
    stateDir = join(stateDir, 'not-a-directory');
    const made = await history();
    stateDir = real;
    made.record(built('zlib-1.3', 40_000));
    expect(made.predict('zlib-1.3', SYSTEM).history.basis).toBe('name');
    expect(warnings).toHaveLength(1);
  });
});

describe('races', () => {
  it('are not run for a name that keeps losing them; after a while it may again', async () => {
    const made = await history();
    for (let i = 0; i < RACES_LOST - 1; i++) made.noteRace('zlib-1.3', false);
    expect(made.predict('zlib-1.3', SYSTEM).history.neverRace).toBeUndefined();
    made.noteRace('zlib-1.3', false);
    const again = await restarted(made);
    expect(again.predict('zlib-1.3', SYSTEM).history.neverRace).toBe('never-wins');
    expect(again.predict('hello-2.12', SYSTEM).history.neverRace).toBeUndefined();
    clock.pass(RACES_FORGOTTEN_MS + 1);
    expect(again.predict('zlib-1.3', SYSTEM).history.neverRace).toBeUndefined();
  });

  it('that are won count', async () => {
    const made = await history();
    for (let i = 0; i < 10; i++) made.noteRace('zlib-1.3', i % RACES_LOST === 0);
    expect(made.predict('zlib-1.3', SYSTEM).history.neverRace).toBeUndefined();
  });
});

describe('outputs', () => {
  const path = '/nix/store/00000000000000000000000000000000-zlib-1.3';

  it('that come out alike say nothing', async () => {
    const made = await history();
    expect(made.noteOutputs('zlib-1.3', [{ path, narHash: 'sha256:a' }], SELF)).toEqual([]);
    expect(made.noteOutputs('zlib-1.3', [{ path, narHash: 'sha256:a' }], OTHER)).toEqual([]);
    expect(made.predict('zlib-1.3', SYSTEM).history.neverRace).toBeUndefined();
  });

  it('that differ from an earlier build are told, and the name is never raced', async () => {
    const made = await history();
    made.noteOutputs('zlib-1.3', [{ path, narHash: 'sha256:a' }], SELF);
    const again = await restarted(made);
    expect(again.noteOutputs('zlib-1.3', [{ path, narHash: 'sha256:b' }], OTHER)).toEqual([
      {
        output: path,
        first: { peerId: SELF, narHash: 'sha256:a' },
        second: { peerId: OTHER, narHash: 'sha256:b' },
      },
    ]);
    expect((await restarted(again)).predict('zlib-1.3', SYSTEM).history.neverRace).toBe('non-deterministic');
  });
});

describe('rows of other members', () => {
  it('are believed once', async () => {
    const made = await history();
    const sequence = clock.now() - 1_000;
    expect(made.accept([row(sequence), row(sequence)])).toBe(1);
    expect(made.accept([row(sequence)])).toBe(0);
    const again = await restarted(made);
    expect(again.accept([row(sequence)])).toBe(0);
    expect(again.predict('zlib-1.3', SYSTEM).history).toMatchObject({ basis: 'name', samples: 1 });
  });

  it('are passed on to those who lack them, and only those', async () => {
    const made = await history();
    const sequence = clock.now() - 1_000;
    made.accept([row(sequence), row(sequence + 1)]);
    made.record(built('hello-2.12', 1_000));
    expect(made.since(new Map(), [SELF, OTHER], 10).map(({ origin }) => origin)).toEqual([
      SELF,
      OTHER,
      OTHER,
    ]);
    expect(made.since(new Map([[OTHER, sequence]]), [OTHER], 10)).toEqual([row(sequence + 1)]);
    expect(made.since(new Map(), [SELF, OTHER], 2)).toHaveLength(2);
  });

  it('are not believed of strangers, nor numbered from the future, nor absurd', async () => {
    const made = await history();
    const sequence = clock.now() - 1_000;
    expect(made.accept([row(sequence, { origin: peer('Strange') })])).toBe(0);
    expect(made.accept([row(Number.MAX_SAFE_INTEGER)])).toBe(0);
    expect(made.accept([row(sequence, { wallMs: 1e15 })])).toBe(0);
    expect(made.accept([row(sequence + 1)])).toBe(1);
  });

  it('count less once their machine is removed', async () => {
    const members = [OTHER];
    const made = await history(members);
    for (let i = 0; i < 6; i++) made.accept([row(clock.now() - 100 + i, { wallMs: 1_000 })]);
    for (let i = 0; i < 3; i++) made.record(built('zlib-1.3', 60_000, { at: clock.now() - 50_000 }));
    const trusting = made.predict('zlib-1.3', SYSTEM).predictedMs;
    members.pop();
    made.membershipChanged();
    expect(made.predict('zlib-1.3', SYSTEM).predictedMs).toBeGreaterThan(5 * trusting);
  });
});

describe('own rows', () => {
  it('have numbers that rise, over a lost file too', async () => {
    const made = await history();
    for (let i = 0; i < 3; i++) made.record(built('zlib-1.3', 1_000));
    const before = made.since(new Map(), [SELF], 10).map(({ sequence }) => sequence);
    expect(new Set(before).size).toBe(3);
    await made.close();
    open.splice(0);
    await rm(join(stateDir, 'history.sqlite'));
    clock.pass(1_000);
    const again = await history();
    again.record(built('zlib-1.3', 1_000));
    expect(again.since(new Map(), [SELF], 10)[0]?.sequence).toBeGreaterThan(Math.max(...before));
  });
});
