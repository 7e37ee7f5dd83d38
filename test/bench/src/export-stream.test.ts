import { describe, expect, test } from 'vitest';
import { aroundFile, EXPORT_END, madeUpPath } from './export-stream.ts';

describe('a store path that nothing else has', () => {
  test('has 32 of the letters that Nix uses, others for every seed', () => {
    const paths = [0n, 1n, 31n, 32n, 2n ** 159n].map((seed) => madeUpPath(seed, 'x'));
    expect(new Set(paths).size).toBe(paths.length);
    for (const path of paths) expect(path).toMatch(/^\/nix\/store\/[0-9abcdfghijklmnpqrsvwxyz]{32}-x$/);
  });
});

describe('a file as nix-store --import takes it', () => {
  const path = madeUpPath(7n, 'a');
  const other = madeUpPath(8n, 'b');

  test.each([0, 1, 8, 13])('is a whole number of words around %i bytes', (bytes) => {
    const { before, after } = aroundFile({ path, bytes, references: [other] });
    expect((before.length + bytes + after.length) % 8).toBe(0);
    expect(before.readBigUInt64LE(before.length - 8)).toBe(BigInt(bytes));
  });

  test('names its path and what it refers to, and has neither deriver nor signature', () => {
    const { before, after } = aroundFile({ path, bytes: 8, references: [other] });
    expect(before.readBigUInt64LE(0)).toBe(1n);
    expect(after.indexOf(path)).toBeLessThan(after.indexOf(other));
    expect(after.subarray(-16)).toEqual(Buffer.alloc(16));
    expect(EXPORT_END).toEqual(Buffer.alloc(8));
  });
});
