import { describe, expect, test } from 'vitest';
import { parseMesh, readMeshFile } from './mesh-file.ts';

const machine = { name: 'a', speed: 1, cores: 4 };

describe('a mesh file', () => {
  test('needs name, speed and cores of each machine; the rest has defaults', () => {
    const { machines } = parseMesh({ version: 1, machines: [machine] }, 'x.json');
    expect(machines).toEqual([
      {
        ...machine,
        slots: 4,
        memoryBytes: 2 ** 34,
        downBytesPerMs: 117_000,
        upBytesPerMs: 117_000,
        systems: ['x86_64-linux'],
        emulated: {},
        features: [],
      },
    ]);
  });

  test('may say everything', () => {
    const all = {
      ...machine,
      slots: 2,
      memoryMiB: 1_024,
      downMbit: 100,
      upMbit: 10,
      systems: ['aarch64-linux'],
      emulated: { 'x86_64-linux': 0.1 },
      features: ['kvm'],
    };
    expect(parseMesh({ version: 1, name: 'mine', machines: [all], colour: 'blue' }, 'x.json')).toEqual({
      name: 'mine',
      machines: [
        {
          name: 'a',
          speed: 1,
          cores: 4,
          slots: 2,
          memoryBytes: 2 ** 30,
          downBytesPerMs: 12_500,
          upBytesPerMs: 1_250,
          systems: ['aarch64-linux', 'x86_64-linux'],
          emulated: { 'x86_64-linux': 0.1 },
          features: ['kvm'],
        },
      ],
    });
  });

  test.each([
    [{ machines: [machine] }, 'is of version undefined'],
    [{ version: 2, machines: [machine] }, 'is of version 2; this simulator reads version 1'],
    [{ version: 1, machines: [] }, 'needs a list "machines"'],
    [{ version: 1, machines: [{ ...machine, name: '' }] }, 'has a machine 0 without a name'],
    [{ version: 1, machines: [{ ...machine, speed: 0 }] }, 'needs a number "speed" from 0.001'],
    [{ version: 1, machines: [{ ...machine, cores: 1.5 }] }, 'needs a whole number "cores"'],
    [{ version: 1, machines: [{ ...machine, slots: '2' }] }, 'needs a number "slots"'],
    [{ version: 1, machines: [{ ...machine, features: 'kvm' }] }, 'needs a list of names "features"'],
    [{ version: 1, machines: [{ ...machine, emulated: { x: 0 } }] }, 'needs relative speeds over 0'],
    [{ version: 1, machines: [machine, machine] }, 'has two machines of the same name'],
  ])('%j is refused in one sentence', (value, sentence) => {
    expect(() => parseMesh(value, 'x.json')).toThrow(
      expect.objectContaining({ code: 'SIMULATOR_MESH', message: expect.stringContaining(sentence) }),
    );
  });

  test('that is not there is refused by name', () => {
    expect(() => readMeshFile('/nowhere/x.json')).toThrow('/nowhere/x.json cannot be read');
  });
});
