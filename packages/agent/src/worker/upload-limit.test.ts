import { ManualClock } from '@mesh/net/testing';
import { expect, test } from 'vitest';
import { UploadLimitKeeper, uploadLimitAt } from './upload-limit.ts';

test('there is none where none is set, and one without hours holds always', () => {
  expect(uploadLimitAt({}, 600)).toBeUndefined();
  expect(uploadLimitAt({ hours: ['08:00-18:00'] }, 600)).toBeUndefined();
  expect(uploadLimitAt({ limitRate: '10M' }, 0)).toBe(10 * 1024 * 1024);
  expect(uploadLimitAt({ limitRate: 500_000 }, 1439)).toBe(500_000);
});

test('with hours it holds in them only', () => {
  const config = { limitRate: '1M', hours: ['08:00-18:00', '22:00-02:00'] };
  const minutes = [7 * 60 + 59, 8 * 60, 18 * 60, 23 * 60, 60, 2 * 60];
  const none = undefined;
  expect(minutes.map((minute) => uploadLimitAt(config, minute))).toEqual([
    none,
    1_048_576,
    none,
    1_048_576,
    1_048_576,
    none,
  ]);
});

test('one too small to give anybody anything is refused in a sentence', () => {
  expect(() => new UploadLimitKeeper({ limitRate: '1K' }, new ManualClock(), () => undefined)).toThrow(
    'set 32K or more',
  );
});

test('it comes and goes with the hours', () => {
  const clock = new ManualClock();
  const inMinutes = (minutes: number) =>
    new Date(clock.now() + minutes * 60_000).toTimeString().slice(0, 'hh:mm'.length);
  const hours = [`${inMinutes(2)}-${inMinutes(62)}`];
  const applied: (number | undefined)[] = [];
  const keeper = new UploadLimitKeeper({ limitRate: '1M', hours }, clock, (limit) => applied.push(limit));
  keeper.start();
  expect(applied).toEqual([]);
  clock.pass(3 * 60_000);
  expect(applied).toEqual([1_048_576]);
  clock.pass(60 * 60_000);
  expect(applied).toEqual([1_048_576, undefined]);
  keeper.stop();
  clock.pass(24 * 60 * 60_000);
  expect(applied).toHaveLength(2);
});
