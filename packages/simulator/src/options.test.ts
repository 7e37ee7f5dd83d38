import { describe, expect, test } from 'vitest';
import { parseOptions } from './options.ts';

describe('the options', () => {
  test('have defaults', () => {
    expect(parseOptions([])).toMatchObject({
      graphs: ['git'],
      meshes: ['lan8'],
      policies: ['mesh', 'nix'],
      seeds: 5,
      workload: { homes: 1, history: 'warm', error: 1, scale: 1, parallel: 0, downloads: 'home' },
      faults: { deaths: 0, visits: 0, jumps: 0, straggle: 0 },
      json: false,
    });
  });

  test('take lists of names', () => {
    const { graphs, meshes, policies } = parseOptions(
      '--graph os-desktop,git --mesh lan8,lan32 --policy mesh,nix-tuned'.split(' '),
    );
    expect({ graphs, meshes, policies }).toEqual({
      graphs: ['os-desktop', 'git'],
      meshes: ['lan8', 'lan32'],
      policies: ['mesh', 'nix-tuned'],
    });
  });

  test.each([
    ['--seeds 0', '--seeds takes a number from 1'],
    ['--seeds 1.5', '--seeds takes a whole number'],
    ['--seeds many', '--seeds takes a number'],
    ['--history hot', '--history takes exact, warm, cold, not "hot"'],
    ['--policy random', '--policy takes mesh, nix, nix-tuned, not "random"'],
    ['--parallel 2', '--parallel takes a number from 0 to 1'],
    ['--graph ,', '--graph needs at least one name'],
    ['--colour blue', "Unknown option '--colour'"],
    ['--seeds', '--seeds'],
    ['extra', 'Unexpected argument'],
  ])('%s is refused in one sentence', (args, sentence) => {
    expect(() => parseOptions(args.split(' '))).toThrow(
      expect.objectContaining({ code: 'SIMULATOR_USAGE', message: expect.stringContaining(sentence) }),
    );
  });
});
