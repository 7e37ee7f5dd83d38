import { execFileSync } from 'node:child_process';
import { availableParallelism, totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import { MACHINE_SIZE_COMMAND, readMachineSize } from './machine-size.ts';

describe('the size of a machine without an agent', () => {
  it('is what its shell says', () => {
    const printed = execFileSync('sh', ['-c', MACHINE_SIZE_COMMAND], { encoding: 'utf8', stdio: 'pipe' });
    const { cores, memoryBytes } = readMachineSize(printed);
    expect(cores).toBeGreaterThanOrEqual(availableParallelism());
    expect(memoryBytes).toBeGreaterThan(totalmem() * 0.9);
  });

  it('is read as Linux and macOS say it', () => {
    expect(readMachineSize('cores 8\nmemory 16299256 kB\n')).toEqual({
      cores: 8,
      memoryBytes: 16299256 * 1024,
    });
    expect(readMachineSize('cores 10\nmemory 34359738368\n')).toEqual({
      cores: 10,
      memoryBytes: 34359738368,
    });
  });

  it.each([
    '',
    'cores \nmemory \n',
    'cores 0\nmemory 0 kB',
    'This account is for nix-daemon only.\n',
    'cores 99999999',
  ])('is unknown where it is not said: %j', (printed) =>
    expect(readMachineSize(printed)).toEqual({ cores: undefined, memoryBytes: undefined }),
  );
});
