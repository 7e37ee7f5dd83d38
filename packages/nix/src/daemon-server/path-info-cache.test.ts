import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { wire } from '../daemon/testing/wire-bytes.ts';
import { MAX_CACHED_MS, STAMP_SETTLED_MS, STAMP_VALID_MS } from './constants.ts';
import { databaseStamp, PathInfoCache } from './path-info-cache.ts';

const LAST = 0x616c7473;
const NEXT = 0x6f6c6d67;
const protocol = { minor: 37, features: new Set<string>(), trust: 'trusted' as const };
const info = (hash: string): Buffer => wire(LAST, 1, '', hash, 0, 0, 1, 0, 0, '');

/** A store whose database is at `version`, which it has had since `sinceMs`, and a cache of what is said of it. */
function store() {
  const state = { now: 100_000, version: 1, sinceMs: 0 };
  const cache = new PathInfoCache({
    stamp: () => ({ text: String(state.version), sinceMs: state.sinceMs }),
    now: () => state.now,
  });
  return { state, cache };
}

describe('answers about paths', () => {
  test('are given again while the database does not change, and not after', () => {
    const { state, cache } = store();
    cache.put(protocol, 'a', info('one'), cache.stamp());
    expect(cache.get(protocol, 'a')).toEqual(info('one'));
    state.version = 2;
    state.now += STAMP_VALID_MS;
    expect(cache.get(protocol, 'a')).toBeUndefined();
  });

  test('are looked at again at once where a client did something else', () => {
    const { state, cache } = store();
    cache.put(protocol, 'a', info('one'), cache.stamp());
    state.version = 2;
    cache.lookAgain();
    expect(cache.get(protocol, 'a')).toBeUndefined();
  });

  test('are asked for again some time, however still the database is', () => {
    const { state, cache } = store();
    cache.put(protocol, 'a', info('one'), cache.stamp());
    state.now += MAX_CACHED_MS + 1;
    expect(cache.get(protocol, 'a')).toBeUndefined();
  });

  test('are for clients that speak alike', () => {
    const { cache } = store();
    cache.put(protocol, 'a', info('one'), cache.stamp());
    expect(cache.get({ ...protocol, minor: 38 }, 'a')).toBeUndefined();
    expect(cache.get({ ...protocol, features: new Set(['new']) }, 'a')).toBeUndefined();
  });

  test('are not kept where the path is not valid, something was said before, or the daemon failed', () => {
    const { cache } = store();
    for (const answer of [wire(LAST, 0), wire(NEXT, 'a line\n', LAST, 1, '', 'x'), wire(0x63787470, 1)]) {
      cache.put(protocol, 'a', answer, cache.stamp());
      expect(cache.get(protocol, 'a')).toBeUndefined();
    }
  });

  test('are never older than the time between two looks, however the database changes', () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant('wait' as const), ms: fc.nat(STAMP_SETTLED_MS * 2) }),
      fc.record({ type: fc.constant('change' as const) }),
      fc.record({ type: fc.constant('ask' as const), answerAfterMs: fc.nat(STAMP_VALID_MS * 2) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { state, cache } = store();
        let changedAt = 0;
        const change = (): void => {
          state.version += 1;
          state.sinceMs = state.now;
          changedAt = state.now;
        };
        for (const each of steps) {
          if (each.type === 'wait') state.now += each.ms;
          else if (each.type === 'change') change();
          else {
            const askedAt = cache.stamp();
            const answer = info(`version ${state.version}`);
            state.now += each.answerAfterMs;
            const known = cache.get(protocol, 'a');
            const isOld = known !== undefined && !known.equals(info(`version ${state.version}`));
            expect(isOld && state.now - changedAt >= STAMP_VALID_MS).toBe(false);
            cache.put(protocol, 'a', answer, askedAt);
          }
        }
      }),
    );
  });
});

describe('the stamp of a database', () => {
  let stateDirectory: string;
  let database: DatabaseSync;

  beforeAll(() => {
    stateDirectory = mkdtempSync(join(tmpdir(), 'mesh-state-'));
    mkdirSync(join(stateDirectory, 'db'));
    mkdirSync(join(stateDirectory, 'daemon-socket'));
    // Any file will do for a socket here.
    writeFileSync(join(stateDirectory, 'daemon-socket/socket'), '');
    database = new DatabaseSync(join(stateDirectory, 'db/db.sqlite'));
    database.exec('pragma journal_mode = wal; create table ValidPaths (path text);');
  });

  afterAll(() => {
    database.close();
    rmSync(stateDirectory, { recursive: true });
  });

  test('changes with every transaction, and not with a reader', () => {
    const stamp = databaseStamp(join(stateDirectory, 'daemon-socket/socket'));
    const before = stamp()!;
    const reader = new DatabaseSync(join(stateDirectory, 'db/db.sqlite'), { readOnly: true });
    reader.prepare('select * from ValidPaths').all();
    reader.close();
    expect(stamp()).toEqual(before);
    database.exec(`insert into ValidPaths values ('a')`);
    expect(stamp()!.text).not.toBe(before.text);
    expect(stamp()!.sinceMs).toBeGreaterThanOrEqual(before.sinceMs);
  });

  // Elsewhere than on Linux there is no second file system to be sure of.
  test.skipIf(process.platform !== 'linux')(
    'is none where the socket is on another file system: then the database is of another daemon',
    () => {
      const elsewhere = mkdtempSync('/dev/shm/mesh-state-');
      mkdirSync(join(elsewhere, 'db'));
      writeFileSync(join(elsewhere, 'db/db.sqlite'), '');
      symlinkSync(join(stateDirectory, 'daemon-socket'), join(elsewhere, 'daemon-socket'));
      expect(databaseStamp(join(elsewhere, 'daemon-socket/socket'))()).toBeUndefined();
      rmSync(elsewhere, { recursive: true });
    },
  );

  test('is none where there is no database', () => {
    expect(databaseStamp(join(stateDirectory, 'nowhere/daemon-socket/socket'))()).toBeUndefined();
  });
});
