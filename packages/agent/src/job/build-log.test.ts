import { describe, expect, test } from 'vitest';
import { MAX_LOG_BYTES } from '../constants.ts';
import { BuildLog } from './build-log.ts';

describe('a build log', () => {
  test('gives back its lines in order', () => {
    const log = new BuildLog();
    log.append(['one', 'two']);
    log.append(['three']);
    expect(log.lines()).toEqual(['one', 'two', 'three']);
  });

  test('keeps the beginning and the end of an endless log within its limit, and says what it left out', () => {
    const log = new BuildLog();
    const line = 'x'.repeat(1_023);
    const count = (2 * MAX_LOG_BYTES) / 1_024;
    for (let i = 0; i < count; i += 1) log.append([`${i} ${line}`]);
    const lines = log.lines();
    expect(lines[0]).toMatch(/^0 /);
    expect(lines.at(-1)).toMatch(new RegExp(`^${count - 1} `));
    expect(lines.some((kept) => /lines left out here/.test(kept))).toBe(true);
    expect(lines.reduce((sum, kept) => sum + kept.length + 1, 0)).toBeLessThanOrEqual(MAX_LOG_BYTES + 1_024);
  });

  test('has phases in what is stored, as a daemon writes them, and not in what is shown', () => {
    const log = new BuildLog();
    log.phase('buildPhase');
    log.append(['make']);
    expect(log.lines()).toEqual(['make']);
    expect(log.tail()).toEqual(['make']);
    expect(log.stored()).toEqual(['@nix {"action":"setPhase","phase":"buildPhase"}', 'make']);
  });

  test('starts over with a new attempt', () => {
    const log = new BuildLog();
    log.append(['of the lost machine']);
    log.restart();
    log.append(['of the next']);
    expect(log.lines()).toEqual(['of the next']);
  });

  test('tells followers what comes, and the end', () => {
    const log = new BuildLog();
    const seen: string[] = [];
    log.append(['before']);
    log.follow(
      (lines) => seen.push(...lines),
      () => seen.push('(end)'),
    );
    log.append(['after']);
    log.end();
    expect(seen).toEqual(['after', '(end)']);
  });
});
