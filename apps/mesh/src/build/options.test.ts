import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BuildFlags, checkBuildFlags, joinPairs, splitPairs } from './options.ts';

const usage = expect.objectContaining({ code: 'MESH_USAGE', exitCode: 2 });
const flags = (changes: Partial<BuildFlags>): BuildFlags => ({
  attr: [],
  arg: [],
  argstr: [],
  outLink: 'result',
  link: true,
  on: [],
  not: [],
  logFormat: 'auto',
  ...changes,
});

describe('--arg NAME VALUE', () => {
  it('survives any name and any value, also ones that look like options', () => {
    const word = fc.string().map((text) => text.replaceAll('\0', ''));
    fc.assert(
      fc.property(word, word, (name, value) => {
        const [joined, ...rest] = joinPairs(['--arg', name, value]);
        expect(rest).toEqual([]);
        expect(splitPairs([joined!.slice('--arg='.length)])).toEqual(Object.fromEntries([[name, value]]));
      }),
    );
  });

  it('is left alone after --', () => {
    expect(joinPairs(['build', '--', '--arg', 'x'])).toEqual(['build', '--', '--arg', 'x']);
  });

  it('needs both', () => {
    expect(() => joinPairs(['build', '--argstr', 'x'])).toThrow(usage);
    expect(() => splitPairs(['x'])).toThrow(usage);
  });
});

describe('options that contradict one another', () => {
  it.each([
    ['-A without -f', { attr: ['x'] }],
    ['--arg without -f', { arg: ['x\0y'] }],
    ['--local with --on', { local: true, on: ['h1'] }],
    ['--local with --not', { local: true, not: ['h1'] }],
    ['one machine in --on and --not', { on: ['h1', 'h2'], not: ['h2'] }],
  ])('%s', (_, changes) => {
    expect(() => checkBuildFlags(flags(changes))).toThrow(usage);
  });

  it('are not these', () => {
    expect(() =>
      checkBuildFlags(flags({ file: 'x.nix', attr: ['x'], on: ['h1'], not: ['h2'] })),
    ).not.toThrow();
  });
});
