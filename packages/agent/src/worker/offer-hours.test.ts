import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWithinHours } from './offer-hours.ts';

const at = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));

describe('hours of the day', () => {
  it.each([
    ['09:00-17:30', ['09:00', '12:00', '17:29'], ['08:59', '17:30', '00:00']],
    ['22:00-07:00', ['22:00', '23:59', '00:00', '06:59'], ['07:00', '12:00', '21:59']],
    ['00:00-24:00', ['00:00', '12:00', '23:59'], []],
    ['08:00-08:00', ['08:00', '07:59', '20:00'], []],
  ])('%s', (hours, within, without) => {
    for (const time of within) expect(isWithinHours(hours, at(time)), time).toBe(true);
    for (const time of without) expect(isWithinHours(hours, at(time)), time).toBe(false);
  });

  it('and the hours from their end to their begin together are the day', () => {
    const minute = fc.integer({ min: 0, max: 24 * 60 - 1 });
    const text = (m: number) =>
      `${String(Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`;
    fc.assert(
      fc.property(minute, minute, minute, (from, to, now) => {
        fc.pre(from !== to);
        const within = isWithinHours(`${text(from)}-${text(to)}`, now);
        expect(isWithinHours(`${text(to)}-${text(from)}`, now)).toBe(!within);
      }),
    );
  });
});
