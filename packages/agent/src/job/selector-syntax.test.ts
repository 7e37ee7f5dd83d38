import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSelector } from './selector-syntax.ts';

const terms = (text: string) => parseSelector('--on', text).terms;

describe('a choice of machines', () => {
  it.each([
    ['ruby', { type: 'name', value: 'ruby' }],
    [
      '12D3KooWGRUVh6XDfZGyUj4Qmqzjk3ZTdEhSmLCUQe4GoHXWzGFZ',
      { type: 'name', value: expect.stringMatching(/^12D3/) },
    ],
    ['home', { type: 'home' }],
    ['system=aarch64-linux', { type: 'system', value: 'aarch64-linux' }],
    ['feature=gccarch-x86-64-v3', { type: 'feature', value: 'gccarch-x86-64-v3' }],
    ['tag=rack1', { type: 'tag', value: 'rack1' }],
    ['cores>=16', { type: 'cores', atLeast: 16 }],
    ['cores >= 16', { type: 'cores', atLeast: 16 }],
    ['speed>=1.5', { type: 'speed', atLeast: 1.5 }],
    ['memory>=32G', { type: 'memory', atLeast: 32e9 }],
    ['memory>=32GB', { type: 'memory', atLeast: 32e9 }],
    ['memory>=1.5t', { type: 'memory', atLeast: 1.5e12 }],
    ['memory>=32GiB', { type: 'memory', atLeast: 32 * 2 ** 30 }],
    ['memory>=512MiB', { type: 'memory', atLeast: 512 * 2 ** 20 }],
  ])('%s', (text, term) => {
    expect(terms(text)).toEqual([term]);
  });

  it('asks for all that + joins', () => {
    expect(parseSelector('--on', ' tag=rack1 + cores>=16+ruby')).toEqual({
      text: 'tag=rack1+cores>=16+ruby',
      terms: [
        { type: 'tag', value: 'rack1' },
        { type: 'cores', atLeast: 16 },
        { type: 'name', value: 'ruby' },
      ],
    });
  });
});

describe('a choice that is written wrongly is answered with the nearest right form', () => {
  it.each([
    ['core>=16', "'cores>=16'"],
    ['cors>=16', "'cores>=16'"],
    ['cores=16', "'cores>=16'"],
    ['cores>16', "'cores>=16'"],
    ['cores=>16', "'cores>=16'"],
    ['CORES>=16', "'cores>=16'"],
    ['cores>=many', "'cores>=16'"],
    ['cores>=1.5', "'cores>=16'"],
    ['cores>=-1', "'cores>=16'"],
    ['memory=32G', "'memory>=32G'"],
    ['memory>=32X', "'memory>=32G'"],
    ['mem>=8G', "'memory>=8G'"],
    ['gpus>=1', 'they have system, feature, tag, cores, memory, speed and names'],
    ['speed>=fast', "'speed>=1.5'"],
    ['systems=x86_64-linux', 'system=x86_64-linux'],
    ['features=kvm', 'feature=kvm'],
    ['feature:kvm', 'feature=kvm'],
    ['feature>=kvm', 'feature=kvm'],
    ['tag==a', 'tag=a'],
    ['tag=', 'tag=rack1'],
    ['tag=a=b', 'tag=rack1'],
    ['=x', 'asks for nothing'],
    ['colour=red', 'asks for colour, which machines do not have'],
    ['', "'' names no machine"],
    ['ruby+', 'names no machine'],
    ['+', 'names no machine'],
    ['-ruby', 'neither the name of a machine nor a condition'],
    ['a b', 'neither the name of a machine nor a condition'],
  ])('%s: %s', (text, nearest) => {
    expect(() => parseSelector('--not', text)).toThrow(
      expect.objectContaining({
        code: 'BUILD_BAD_SELECTOR',
        exitCode: 2,
        message: expect.stringContaining(nearest),
      }),
    );
    expect(() => parseSelector('--not', text)).toThrow(/^--not .*[^.]\.$/s);
  });

  it('and never with anything but that', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'corestagmy16=><+:., -Gé') }), (text) => {
        try {
          for (const term of terms(text))
            if ('atLeast' in term) expect(term.atLeast).toBeGreaterThanOrEqual(0);
        } catch (error) {
          expect(error).toMatchObject({ code: 'BUILD_BAD_SELECTOR' });
        }
      }),
    );
  });

  it('whose own form is right', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'corestagmy16=><:') }), (text) => {
        try {
          terms(text);
        } catch (error) {
          const form = / write '?([^' ]+?)'?\.$/.exec((error as Error).message)?.[1];
          if (form !== undefined) expect(() => terms(form)).not.toThrow();
        }
      }),
    );
  });
});
