import { describe, expect, test } from 'vitest';
import { type OfferedMachine, whyNobody } from './greeting.ts';

const machine = (more: Partial<OfferedMachine> = {}): OfferedMachine => ({
  name: 'ruby',
  systems: ['x86_64-linux'],
  systemFeatures: ['kvm'],
  slots: 2,
  ...more,
});
const asks = (systems: string[] = [], features: string[] = []) => ({ version: 1, systems, features });

describe('a builder takes the connection', () => {
  test('where any other machine takes builds and nothing is asked for', () =>
    expect(whyNobody(asks(), [machine()])).toBeUndefined());

  test('where one machine has one of the systems and all features', () =>
    expect(whyNobody(asks(['aarch64-linux', 'x86_64-linux'], ['kvm']), [machine()])).toBeUndefined());
});

describe('a builder refuses the connection, so that Nix builds elsewhere', () => {
  test('where no other machine is connected', () =>
    expect(whyNobody(asks(), [])).toBe('no other machine of the mesh is connected'));

  test('where none takes builds', () =>
    expect(whyNobody(asks(), [machine({ closed: 'paused' }), machine({ name: 'kana', slots: 0 })])).toBe(
      'no other machine of the mesh takes builds now (ruby: paused; kana: no slots)',
    ));

  test('where no single machine has all that is asked for', () => {
    const machines = [machine(), machine({ systems: ['riscv64-linux'], systemFeatures: [] })];
    expect(whyNobody(asks(['riscv64-linux'], ['kvm']), machines)).toBe(
      'no other machine of the mesh that takes builds now offers riscv64-linux, feature kvm',
    );
  });
});
