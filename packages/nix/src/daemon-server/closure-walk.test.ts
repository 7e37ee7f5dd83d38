import { describe, expect, test } from 'vitest';
import { wire } from '../daemon/testing/wire-bytes.ts';
import { ClosureWalk } from './closure-walk.ts';
import { INFO_KEPT_MS } from './constants.ts';

const LAST = 0x616c7473;
const answer = (...references: string[]): Buffer =>
  wire(LAST, 1, '', 'hash', references.length, ...references, 0, 1, 0, 0, '');

/** A client that asked for `a`, and then for its reference `b`: it walks. */
function walking() {
  const clock = { now: 0 };
  const walk = new ClosureWalk(() => clock.now);
  walk.ask('a');
  walk.answered(answer('b', 'c'));
  walk.ask('b');
  return { clock, walk };
}

describe('a walk over a closure', () => {
  test('has not begun where one path is asked for', () => {
    const walk = new ClosureWalk(() => 0);
    walk.ask('a');
    walk.answered(answer('b'));
    expect(walk.takeNext()).toEqual([]);
  });

  test('goes on with the references, and gives each answer once', () => {
    const { walk } = walking();
    expect(walk.takeNext()).toEqual(['c']);
    walk.arrived('c', answer('d'), false);
    expect(walk.takeNext()).toEqual(['d']);
    expect(walk.ask('c')).toEqual(answer('d'));
    expect(walk.ask('c')).toBeUndefined();
  });

  test('never keeps that a path is not valid', () => {
    const { walk } = walking();
    walk.takeNext();
    walk.arrived('c', wire(LAST, 0), false);
    expect(walk.ask('c')).toBeUndefined();
  });

  test('gives nothing old', () => {
    const { clock, walk } = walking();
    walk.takeNext();
    walk.arrived('c', answer(), false);
    clock.now = INFO_KEPT_MS + 1;
    expect(walk.ask('c')).toBeUndefined();
  });

  test('ends with any other operation, also for what is on its way', () => {
    const { walk } = walking();
    walk.takeNext();
    walk.end();
    walk.arrived('c', answer(), false);
    expect(walk.ask('c')).toBeUndefined();
  });
});
