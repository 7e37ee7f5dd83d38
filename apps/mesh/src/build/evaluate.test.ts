import type { Derivation } from '@mesh/nix';
import { describe, expect, it } from 'vitest';
import { collect } from '../testing/collect.ts';
import { drv } from '../testing/recorded-job.ts';
import { type Evaluator, evaluate } from './evaluate.ts';
import type { Installable } from './installable.ts';

/** Every derivation has an input-addressed `out` and a content-addressed `dev`. */
const derivation = {
  outputs: new Map([
    ['out', { path: '/nix/store/o', hashAlgo: '', hash: '' }],
    ['dev', { path: '', hashAlgo: 'r:sha256', hash: '' }],
  ]),
} as Derivation;

function recordingEvaluator() {
  const calls: string[][] = [];
  const evaluator: Evaluator = {
    async *instantiate(attributes) {
      calls.push([...attributes]);
      for (const name of attributes.length === 0 ? ['x', 'y'] : attributes) {
        yield { drvPath: drv(name), outputs: ['out'] };
      }
    },
    async *flake(reference) {
      calls.push([reference]);
      yield { drvPath: drv('flake'), outputs: ['dev'] };
    },
    readDerivation: async () => derivation,
  };
  return { calls, evaluator };
}

const signal = new AbortController().signal;
const attribute = (name: string | undefined, outputs: Installable['outputs'] = 'default'): Installable => ({
  type: 'attribute',
  attribute: name,
  outputs,
});

async function run(installables: Installable[]) {
  const { calls, evaluator } = recordingEvaluator();
  const wanted = await collect(evaluate(installables, evaluator, signal));
  return { calls, wanted: wanted.map(({ drvPath, outputs }) => [drvPath, outputs]) };
}

describe('evaluation', () => {
  it('reads the file once for attributes that follow one another', async () => {
    const { calls, wanted } = await run([
      attribute('a'),
      attribute('b'),
      attribute('c', ['dev']),
      attribute('d'),
    ]);
    expect(calls).toEqual([['a', 'b'], ['c'], ['d']]);
    expect(wanted).toEqual([
      [drv('a'), ['out']],
      [drv('b'), ['out']],
      [drv('c'), ['dev']],
      [drv('d'), ['out']],
    ]);
  });

  it('takes everything a file yields when no attribute is named', async () => {
    const { calls, wanted } = await run([attribute(undefined)]);
    expect(calls).toEqual([[]]);
    expect(wanted.map(([path]) => path)).toEqual([drv('x'), drv('y')]);
  });

  it('chooses the outputs that are asked for, else those the package installs', async () => {
    const flake = (outputs: Installable['outputs']): Installable => ({
      type: 'flake',
      reference: '.',
      outputs,
    });
    const { wanted } = await run([flake('default'), flake('all'), flake(['out'])]);
    expect(wanted.map(([, outputs]) => outputs)).toEqual([['dev'], ['out', 'dev'], ['out']]);
  });

  it('knows the paths of outputs that the derivation tells', async () => {
    const { evaluator } = recordingEvaluator();
    const installable: Installable = { type: 'derivation', drvPath: drv('a'), outputs: 'all' };
    const [wanted] = await collect(evaluate([installable], evaluator, signal));
    expect(wanted?.outputPaths).toEqual(new Map([['out', '/nix/store/o']]));
  });

  it('refuses an output that the derivation does not have, and names those it has', async () => {
    await expect(run([attribute('a', ['bin'])])).rejects.toThrow(
      expect.objectContaining({ code: 'MESH_NO_SUCH_OUTPUT', message: expect.stringContaining('out, dev') }),
    );
  });
});
