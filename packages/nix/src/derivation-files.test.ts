import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readDerivation, readDerivations } from './derivation-files.ts';

const path = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

test('a derivation is read from its file', async () => {
  expect((await readDerivation(path('fixed.drv'))).system).toBe('x86_64-linux');
});

test('many are read in the order given', async () => {
  const names = ['plain', 'fixed', 'fetch', 'structured', 'floating'].map((name) => path(`${name}.drv`));
  const read: string[] = [];
  for await (const [name] of readDerivations(names, { concurrency: 2 })) read.push(name);
  expect(read).toEqual(names);
});

test('a file that is not there is named', async () => {
  await expect(readDerivation(path('absent.drv'))).rejects.toMatchObject({
    code: 'NIX_UNREADABLE_DERIVATION',
    message: expect.stringContaining('absent.drv'),
  });
});

test('reading stops when it is no longer wanted', async () => {
  const controller = new AbortController();
  const all = readDerivations(Array(10).fill(path('plain.drv')), {
    concurrency: 1,
    signal: controller.signal,
  });
  await all.next();
  controller.abort();
  await expect(all.next()).rejects.toThrow('abort');
});
