import { expect, test } from 'vitest';
import { processorSeconds, residentBytes } from './process-usage.ts';

test('memory of this process is what Node says it is, nearly', () => {
  const resident = residentBytes(process.pid);
  const said = process.memoryUsage.rss();
  expect(resident / said).toBeGreaterThan(0.8);
  expect(resident / said).toBeLessThan(1.25);
});

test('processor time of this process is what Node says it is, to the tick', () => {
  const before = process.cpuUsage();
  const seconds = processorSeconds(process.pid);
  const after = process.cpuUsage();
  expect(seconds).toBeGreaterThanOrEqual((before.user + before.system) / 1e6 - 0.02);
  expect(seconds).toBeLessThanOrEqual((after.user + after.system) / 1e6 + 0.02);
});
