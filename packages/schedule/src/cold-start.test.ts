import { describe, expect, test } from 'vitest';
import { coldStart } from './cold-start.ts';

const CRUMB_MS = 300;

describe('coldStart', () => {
  test.each(['setup.sh', 'nixos.conf', 'gcc-wrapper-14.2.0', 'fix-build.patch', 'unit-sshd.service', 'etc'])(
    '%s is a crumb',
    (name) => {
      expect(coldStart(name).medianMs).toBeLessThan(CRUMB_MS);
    },
  );

  test('what its author wants built locally is a crumb, whatever it is called', () => {
    expect(coldStart('llvm-19.1.7', { local: true }).medianMs).toBeLessThan(CRUMB_MS);
  });

  test('a download is a crumb to the scheduler: it stays at home', () => {
    expect(coldStart('llvm-19.1.7.src.tar.xz', { download: true }).medianMs).toBeLessThan(CRUMB_MS);
  });

  test.each(['hello-2.12.2', 'pkg-config-0.29.2', 'wide-7', 'x'])('%s is not', (name) => {
    expect(coldStart(name).medianMs).toBeGreaterThan(CRUMB_MS);
  });

  test.each([
    ['chromium-unwrapped-141.0', 'llvm-19.1.7'],
    ['llvm-21.1', 'glibc-2.41'],
    ['gcc-14.3.0', 'bash-5.2'],
    ['glibc-2.41', 'hello-2.12.2'],
    ['ghc-lens-5.2', 'perl-uri-5.28'],
  ])('%s is known to take longer than %s', (large, small) => {
    expect(coldStart(large).medianMs).toBeGreaterThan(2 * coldStart(small).medianMs);
  });

  test('the number a generated graph gives a node does not hide what it is', () => {
    expect(coldStart('n214-gcc-14.3.0')).toEqual(coldStart('gcc-14.3.0'));
  });

  test('more inputs, more work; within reason', () => {
    const few = coldStart('fluidplug-1.0', { inputs: 4 }).medianMs;
    const many = coldStart('fluidplug-1.0', { inputs: 40 }).medianMs;
    const absurd = coldStart('fluidplug-1.0', { inputs: 1e9 }).medianMs;
    expect(many).toBeGreaterThan(2 * few);
    expect(absurd).toBeLessThan(100 * few);
    expect(coldStart('fluidplug-1.0', { inputs: 0 }).medianMs).toBe(few);
  });
});
