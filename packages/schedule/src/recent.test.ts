import { expect, it } from 'vitest';
import { Recent } from './recent.ts';

it('remembers the newest and forgets the oldest', () => {
  const recent = new Recent<number>(100);
  for (let i = 0; i < 1_000; i++) recent.set(`${i}`, i);
  for (let i = 900; i < 1_000; i++) expect(recent.get(`${i}`)).toBe(i);
  for (let i = 0; i < 800; i++) expect(recent.has(`${i}`)).toBe(false);
  recent.delete('950');
  expect(recent.has('950')).toBe(false);
});
