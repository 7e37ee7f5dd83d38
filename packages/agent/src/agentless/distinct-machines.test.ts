import { parseMachines } from '@mesh/ssh';
import { describe, expect, it } from 'vitest';
import { distinctMachines } from './distinct-machines.ts';

function named(...lines: string[]): string[] {
  const { machines } = parseMachines(lines.join('\n'), () => undefined);
  return distinctMachines(machines).map(({ name, machine }) => `${name} ${machine.systems.join()}`);
}

describe('the machines of several lines', () => {
  it('are called by their hosts', () => {
    expect(
      named('ssh://ryan@ruby x86_64-linux', 'kana x86_64-linux', 'ssh-ng://[fd00::5]:22 x86_64-linux'),
    ).toEqual(['ruby x86_64-linux', 'kana x86_64-linux', 'fd00::5 x86_64-linux']);
  });

  it('are several where one machine has a line for each of its systems', () => {
    const lines = [
      'ssh://ruby x86_64-linux - 8 2 kvm',
      'ssh://ruby aarch64-linux - 2',
      'ssh://ruby riscv64-linux - 1',
    ];
    expect(named(...lines)).toEqual(['ruby x86_64-linux', 'ruby#2 aarch64-linux', 'ruby#3 riscv64-linux']);
  });

  it('are one where a line comes twice, and the first counts', () => {
    const { machines } = parseMachines(
      'ssh://ruby x86_64-linux,i686-linux - 8\nssh-ng://ruby i686-linux,x86_64-linux - 2',
      () => undefined,
    );
    expect(distinctMachines(machines).map(({ machine }) => machine.maxJobs)).toEqual([8]);
  });

  it('have ids of their own, that stay whatever other lines there are', () => {
    const ids = (text: string) =>
      distinctMachines(parseMachines(text, () => undefined).machines).map(({ peerId }) => peerId);
    const [one, two, three] = ids('ssh://ruby a - 1\nssh://ruby b - 1\nssh://u@ruby b - 1');
    expect(new Set([one, two, three]).size).toBe(3);
    expect(ids('ssh://kana a - 1\nssh://ruby a - 1')[1]).toBe(one);
  });

  it('are none without slots, or where they are this machine', () => {
    expect(named('ssh://ruby a - 0', 'ssh://localhost a - 4', 'ssh-ng://u@[::1] a - 4')).toEqual([]);
  });
});
