import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { silentLogger } from '@mesh/net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { NixNegativeCache, nixCacheDirectories } from './nix-negative-cache.ts';

const OURS = 'http://127.0.0.1:4749';
/** The tables of Nix 2.8 to 2.34, without columns that do not matter here. */
const LAYOUT = `
  create table BinaryCaches (id integer primary key autoincrement not null, url text unique not null, timestamp integer not null,
    storeDir text not null, wantMassQuery integer not null, priority integer not null);
  create table NARs (cache integer not null, hashPart text not null, narHash text, timestamp integer not null, present integer not null,
    primary key (cache, hashPart), foreign key (cache) references BinaryCaches(id) on delete cascade);
  insert into BinaryCaches values (1, '${OURS}', 0, '/nix/store', 1, 30), (2, 'https://cache.example', 0, '/nix/store', 1, 40);
  insert into NARs values (1, 'absent-here', null, 0, 0), (1, 'present-here', 'x', 0, 1), (2, 'absent-there', null, 0, 0);`;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'negative-cache-'));
});
afterEach(() => rm(directory, { recursive: true }));

function make(name: string, layout = LAYOUT): DatabaseSync {
  const database = new DatabaseSync(join(directory, name));
  database.exec(layout);
  return database;
}
const rowsOf = (database: DatabaseSync) =>
  database
    .prepare('select hashPart from NARs order by hashPart')
    .all()
    .map(({ hashPart }) => hashPart);
const cacheOf = (logger = silentLogger) =>
  new NixNegativeCache({ urls: [OURS], directories: [join(directory, 'nowhere'), directory] }, logger);

test('what Nix noted as absent from our cache is taken out, and nothing else', async () => {
  const [v6, v7] = [make('binary-cache-v6.sqlite'), make('binary-cache-v7.sqlite')];
  const other = make('fetcher-cache-v3.sqlite');
  const cache = cacheOf();
  await cache.purge();
  for (const database of [v6, v7]) expect(rowsOf(database)).toEqual(['absent-there', 'present-here']);
  expect(rowsOf(other)).toHaveLength(3);
  expect(cache.purged).toBe(2);
});

test('what it noted of a path whose NAR is gone is taken out too', async () => {
  const database = make('binary-cache-v7.sqlite');
  const cache = cacheOf();
  cache.noted('present-here');
  await cache.purge();
  expect(rowsOf(database)).toEqual(['absent-there']);
  cache.stop();
});

test('a file of another layout is left alone, and that is said once', async () => {
  const database = make(
    'binary-cache-v99.sqlite',
    'create table NARs (what text); insert into NARs values (1)',
  );
  const said: unknown[] = [];
  const cache = cacheOf({ ...silentLogger, info: (first: unknown) => said.push(first) });
  await cache.purge();
  await cache.purge();
  expect(database.prepare('select count(*) as n from NARs').get()).toMatchObject({ n: 1 });
  expect(said).toEqual([{ file: join(directory, 'binary-cache-v99.sqlite') }]);
});

test('a file that Nix is writing to is tried again, and never waited for', async () => {
  const database = make('binary-cache-v6.sqlite');
  const cache = cacheOf();
  database.exec('begin immediate');
  await cache.purge();
  expect(cache.purged).toBe(0);
  database.exec('commit');
  await expect.poll(() => cache.purged, { timeout: 5_000 }).toBe(1);
  cache.stop();
});

test('absent paths are taken out soon after they were asked for', async () => {
  const database = make('binary-cache-v6.sqlite');
  const cache = cacheOf();
  cache.noted();
  await expect.poll(() => rowsOf(database), { timeout: 5_000 }).toEqual(['absent-there', 'present-here']);
  cache.stop();
});

test('Nix keeps its notes where its user and environment say', () => {
  expect(nixCacheDirectories('/root', {})).toEqual(['/root/.cache/nix']);
  expect(nixCacheDirectories('/root', { NIX_CACHE_HOME: '/n', XDG_CACHE_HOME: '/x' })).toEqual([
    '/n',
    '/x/nix',
    '/root/.cache/nix',
  ]);
});
