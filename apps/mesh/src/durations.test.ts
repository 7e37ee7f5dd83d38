import { describe, expect, it } from 'vitest';
import { formatAgo, formatDuration, parseDurationMs } from './durations.ts';

describe('durations', () => {
  it.each([
    ['90s', 90_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
  ])('%s is read', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each(['', '10', 'm', '0s', '-1m', '1.5h', '10 m', '1w', '9999999999s'])('%j is refused', (text) => {
    expect(parseDurationMs(text)).toBeUndefined();
  });

  it.each([
    [0, '0.0 s'],
    [3_249, '3.2 s'],
    [59_940, '59.9 s'],
    [59_960, '1 min 00 s'],
    [245_000, '4 min 05 s'],
    [7_380_000, '2 h 03 min'],
  ])('%d ms are written %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it.each([
    [500, 'now'],
    [12_000, '12 s ago'],
    [125_000, '2 min ago'],
    [3 * 86_400_000, '3 d ago'],
  ])('%d ms ago is written %s', (ms, text) => {
    expect(formatAgo(ms)).toBe(text);
  });
});
