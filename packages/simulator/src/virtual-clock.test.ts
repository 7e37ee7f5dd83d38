import fc from 'fast-check';
import { expect, test } from 'vitest';
import { VirtualClock } from './virtual-clock.ts';

test('things happen by time and, at the same time, in the order they were asked for', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 9 })), (times) => {
      const clock = new VirtualClock();
      const happened: [number, number][] = [];
      for (const [i, time] of times.entries()) clock.at(time, () => happened.push([clock.now, i]));
      while (clock.step());
      const expected = times.map((time, i): [number, number] => [time, i]);
      expect(happened).toEqual(expected.sort(([a, i], [b, j]) => a - b || i - j));
    }),
  );
});

test('what is asked for in the past happens now', () => {
  const clock = new VirtualClock();
  const at: number[] = [];
  clock.at(10, () => clock.at(3, () => at.push(clock.now)));
  while (clock.step());
  expect(at).toEqual([10]);
});

test('after a leap what was due meanwhile happens late, in its order', () => {
  const clock = new VirtualClock();
  const happened: string[] = [];
  clock.at(1, () => clock.jump(100));
  clock.at(2, () => happened.push(`a ${clock.now}`));
  clock.at(3, () => happened.push(`b ${clock.now}`));
  clock.at(200, () => happened.push(`c ${clock.now}`));
  while (clock.step());
  expect(happened).toEqual(['a 101', 'b 101', 'c 200']);
});
