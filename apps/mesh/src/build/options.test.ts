import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agentOptions, type BuildFlags, checkBuildFlags, joinPairs, splitPairs } from './options.ts';

const usage = expect.objectContaining({ code: 'MESH_USAGE', exitCode: 2 });
const flags = (changes: Partial<BuildFlags>): BuildFlags => ({
  attr: [],
  arg: [],
  argstr: [],
  outLink: 'result',
  link: true,
  on: [],
  not: [],
  prefer: [],
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
    ['--local with --prefer', { local: true, prefer: ['h1'] }],
    ['one machine in --on and --not', { on: ['h1', 'h2'], not: ['h2'] }],
    ['one condition in --prefer and --not', { prefer: ['tag=a'], not: ['tag=a'] }],
  ])('%s', (_, changes) => {
    expect(() => checkBuildFlags(flags(changes))).toThrow(usage);
  });

  it('are not these', () => {
    expect(() =>
      checkBuildFlags(flags({ file: 'x.nix', attr: ['x'], on: ['h1'], not: ['h2'] })),
    ).not.toThrow();
  });
});

describe('machines', () => {
  it.each(['on', 'not', 'prefer'] as const)(
    'of --%s that are written wrongly are refused with the right form',
    (option) => {
      expect(() => checkBuildFlags(flags({ [option]: ['h1', 'core>=4'] }))).toThrow(
        expect.objectContaining({
          exitCode: 2,
          message: `--${option} core>=4 is no condition; write 'cores>=4'.`,
        }),
      );
    },
  );

  it('are told to the agent as they were written', () => {
    const given = { on: ['h1', 'tag=a+cores>=2'], not: ['h2'], prefer: ['home'] };
    expect(agentOptions(flags(given))).toMatchObject(given);
    expect(agentOptions(flags({}))).not.toHaveProperty('on');
  });
});

describe('--priority', () => {
  it.each([
    ['low', 0.25],
    ['normal', 1],
    ['high', 4],
    ['2', 2],
    ['.5', 0.5],
    ['0.01', 0.01],
    ['100', 100],
  ])('%s weighs %d', (priority, weight) => {
    checkBuildFlags(flags({ priority }));
    expect(agentOptions(flags({ priority }))).toMatchObject({ priority: weight });
  });

  it.each(['', 'urgent', '0', '-1', '101', '1e1', 'Infinity', 'toString'])('%s is refused', (priority) => {
    expect(() => checkBuildFlags(flags({ priority }))).toThrow(usage);
  });
});
