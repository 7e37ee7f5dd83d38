import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { parseGraph, readGraphFile } from './graph-file.ts';

const good = {
  name: 'three',
  names: ['src', 'lib', 'app'],
  systems: ['aarch64-linux'],
  deps: [[], [0], [0, 1]],
  cpuSeconds: [null, 2.5, 0],
  outBytes: [1_000, 2_000, null],
};

const folder = mkdtempSync(join(tmpdir(), 'graph-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('a graph file', () => {
  test('is read, zipped or not', () => {
    const plain = join(folder, 'plain.json');
    const zipped = join(folder, 'zipped.json.gz');
    writeFileSync(plain, JSON.stringify(good));
    writeFileSync(zipped, gzipSync(JSON.stringify(good)));
    expect(readGraphFile(plain)).toEqual(readGraphFile(zipped));
    expect(readGraphFile(plain)).toEqual({
      name: 'three',
      names: ['src', 'lib', 'app'],
      dependencies: [[], [0], [0, 1]],
      workMs: [undefined, 2_500, 0],
      outputBytes: [1_000, 2_000, 0],
      systems: ['aarch64-linux', 'aarch64-linux', 'aarch64-linux'],
      requiredFeatures: [[], [], []],
    });
  });

  test('may say system and features of each', () => {
    const graph = parseGraph(
      { ...good, system: ['a', 'b', 'c'], requiredFeatures: [[], ['kvm'], []] },
      'file',
    );
    expect(graph.systems).toEqual(['a', 'b', 'c']);
    expect(graph.requiredFeatures[1]).toEqual(['kvm']);
  });

  test.each([
    ['not an object', 7, 'is not an object'],
    ['without names', { ...good, names: undefined }, 'has no list "names"'],
    [
      'with columns of different lengths',
      { ...good, cpuSeconds: [1] },
      'has 1 entries in "cpuSeconds" for 3',
    ],
    [
      'with a circle',
      { ...good, deps: [[2], [0], [1]] },
      'dependencies of derivation 0 that do not come before',
    ],
    ['with a dependency that is not there', { ...good, deps: [[], [0], [9]] }, 'derivation 2'],
    ['with a negative cost', { ...good, cpuSeconds: [1, -1, 1] }, 'cost of derivation 1'],
    ['with a size that is no number', { ...good, outBytes: [1, 'x', 1] }, 'output of derivation 1'],
    [
      'with features that are no names',
      { ...good, requiredFeatures: [[], 'kvm', []] },
      'features of derivation 1',
    ],
  ])('%s is refused in one sentence', (_, value, sentence) => {
    expect(() => parseGraph(value, 'x.json')).toThrow(
      expect.objectContaining({ code: 'SIMULATOR_GRAPH', message: expect.stringContaining(sentence) }),
    );
  });

  test('that is not there, not JSON or not zipped is refused by name', () => {
    const broken = join(folder, 'broken.json.gz');
    writeFileSync(broken, '{}');
    const text = join(folder, 'text.json');
    writeFileSync(text, 'hello');
    for (const path of [broken, text, join(folder, 'absent.json')])
      expect(() => readGraphFile(path)).toThrow(
        expect.objectContaining({ code: 'SIMULATOR_GRAPH', message: expect.stringContaining(path) }),
      );
  });
});
