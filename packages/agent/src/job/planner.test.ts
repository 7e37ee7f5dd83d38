import { Buffer } from 'node:buffer';
import { type Derivation, printDerivation } from '@mesh/nix';
import { describe, expect, test } from 'vitest';
import { type Distrust, derivationName, Planner, type PlannerComponents, type Wanted } from './planner.ts';

const HASH = '0123456789abcdfghijklmnpqrsvwxyz';
const drvPath = (name: string): string => `/nix/store/${HASH}-${name}.drv`;
const outPath = (name: string, output = 'out'): string =>
  `/nix/store/${HASH}-${name}${output === 'out' ? '' : `-${output}`}`;

interface Spec {
  inputs?: Record<string, string[]>;
  env?: Record<string, string>;
  outputs?: Derivation['outputs'];
}

/** A store of `.drv` files in memory, and who has what. */
class World {
  readonly files = new Map<string, Uint8Array>();
  readonly valid = new Set<string>();
  readonly held = new Map<string, string[]>();
  readonly substitutable = new Map<string, number>();
  readonly reads: string[] = [];

  derivation(name: string, spec: Spec = {}): Wanted {
    const inputDrvs = new Map(
      Object.entries(spec.inputs ?? {}).map(([input, names]) => [drvPath(input), names]),
    );
    const derivation: Derivation = {
      outputs: spec.outputs ?? new Map([['out', { path: outPath(name), hashAlgo: '', hash: '' }]]),
      inputDrvs,
      inputSrcs: [`/nix/store/${HASH}-source-${name}`],
      system: 'x86_64-linux',
      builder: '/bin/sh',
      args: [],
      env: new Map(Object.entries(spec.env ?? {})),
    };
    this.files.set(drvPath(name), printDerivation(derivation));
    return { drvPath: drvPath(name), outputs: [] };
  }

  /** @param realised where Nix here can be told what others built: what it knows already */
  planner(distrust?: Distrust, realised?: readonly string[]): Planner {
    const components: PlannerComponents = {
      queryValidPaths: async (paths) => new Set(paths.filter((path) => this.valid.has(path))),
      querySubstitutable: async () => this.substitutable,
      whoHas: async (paths) => new Map([...this.held].filter(([path]) => paths.includes(path))),
      ...(realised === undefined ? {} : { queryRealised: async () => new Set(realised) }),
      predict: () => ({ predictedMs: 1_000, history: { basis: 'cold', samples: 0, spread: 1 } }),
      readDerivationFile: async (path) => {
        this.reads.push(path);
        const bytes = this.files.get(path);
        if (bytes === undefined) throw Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
        return bytes;
      },
    };
    return new Planner(components, distrust);
  }
}

function chain(world: World): Wanted {
  world.derivation('a');
  world.derivation('b', { inputs: { a: ['out'] } });
  return world.derivation('c', { inputs: { b: ['out'] } });
}

describe('a plan', () => {
  test('has every derivation whose wanted outputs are missing, with what it waits for', async () => {
    const world = new World();
    const { derivations } = await world.planner().plan([chain(world)]);
    const nodes = Object.fromEntries(derivations.map(({ node }) => [node.name, node.dependencies]));
    expect(nodes).toEqual({ a: [], b: [drvPath('a')], c: [drvPath('b')] });
  });

  test('leaves out what is valid here, and everything only that needed', async () => {
    const world = new World();
    const root = chain(world);
    world.valid.add(outPath('b'));
    const plan = await world.planner().plan([root]);
    expect(plan.derivations.map(({ node }) => node.name)).toEqual(['c']);
    expect(plan.derivations[0]?.node.dependencies).toEqual([]);
    expect(plan.validCount).toBe(1);
    expect(world.reads).not.toContain(drvPath('a'));
  });

  test('leaves out what a member has, and says who', async () => {
    const world = new World();
    const root = chain(world);
    world.held.set(outPath('b'), ['peer-2']);
    const plan = await world.planner().plan([root]);
    expect(plan.derivations.map(({ node }) => node.name)).toEqual(['c']);
    expect(plan.derivations[0]?.inputs).toContain(outPath('b'));
    expect([...plan.held]).toEqual([[outPath('b'), ['peer-2']]]);
  });

  test('has what a member was to have and could not give, to be built elsewhere if possible', async () => {
    const world = new World();
    const root = chain(world);
    world.held.set(outPath('b'), ['peer-2']);
    const plan = await world.planner(new Map([[outPath('b'), ['peer-2']]])).plan([root]);
    expect(plan.derivations.map(({ node }) => [node.name, node.avoid]).sort()).toEqual([
      ['a', []],
      ['b', ['peer-2']],
      ['c', []],
    ]);
    expect(plan.held.size).toBe(0);
  });

  test('leaves an input that a substituter offers to whoever builds what needs it, without its own inputs', async () => {
    const world = new World();
    const root = chain(world);
    world.substitutable.set(outPath('b'), 1_000);
    const planner = world.planner();
    const { derivations } = await planner.plan([root]);
    expect(derivations.map(({ node }) => node.name).sort()).toEqual(['b', 'c']);
    const b = derivations.find(({ node }) => node.name === 'b');
    expect(b?.method).toBe('realise');
    expect(b?.node).toMatchObject({ place: 'substitute', heldBy: ['upstream'], heldBytes: 1_000 });
    expect(b?.node.dependencies).toEqual([]);
    const c = derivations.find(({ node }) => node.name === 'c');
    expect([...c!.upstream]).toEqual([outPath('b')]);
    expect(planner.isOffered(outPath('b'))).toBe(true);
  });

  test('lets Nix realise at home what a substituter offers and the user wants', async () => {
    const world = new World();
    const root = chain(world);
    world.substitutable.set(outPath('c'), 1_000);
    const { derivations } = await world.planner().plan([root]);
    expect(derivations.map(({ node }) => node.name)).toEqual(['c']);
    expect(derivations[0]?.node).toMatchObject({ place: 'substitute', system: 'builtin', dependencies: [] });
    expect(derivations[0]?.node.heldBy).toBeUndefined();
  });

  test('lets Nix realise at home what substituters were to give and did not', async () => {
    const world = new World();
    const root = chain(world);
    world.substitutable.set(outPath('b'), 1_000);
    const { derivations } = await world.planner(new Map([[outPath('b'), []]])).plan([root]);
    const b = derivations.find(({ node }) => node.name === 'b');
    expect(b?.node).toMatchObject({ place: 'substitute' });
    expect(b?.node.heldBy).toBeUndefined();
  });

  test('says which inputs substituters may have: all that no job builds, sources apart', async () => {
    const world = new World();
    for (const name of ['valid', 'held', 'offered', 'built']) world.derivation(name);
    const inputs = { valid: ['out'], held: ['out'], offered: ['out'], built: ['out'] };
    const root = world.derivation('root', { inputs });
    world.valid.add(outPath('valid'));
    world.held.set(outPath('held'), ['peer-2']);
    world.substitutable.set(outPath('offered'), 1_000);
    const { derivations } = await world.planner().plan([root]);
    const planned = derivations.find(({ node }) => node.name === 'root');
    expect([...planned!.upstream].sort()).toEqual(['held', 'offered', 'valid'].map((name) => outPath(name)));
  });

  test('gives a derivation once, however many roots share it', async () => {
    const world = new World();
    const c = chain(world);
    const d = world.derivation('d', { inputs: { b: ['out'] } });
    const planner = world.planner();
    const first = await planner.plan([c]);
    const second = await planner.plan([d]);
    expect(first.derivations).toHaveLength(3);
    expect(second.derivations.map(({ node }) => node.name)).toEqual(['d']);
    expect(second.derivations[0]?.node.dependencies).toEqual([drvPath('b')]);
  });

  test('builds a derivation again for an output that is wanted only later', async () => {
    const world = new World();
    const outputs = new Map([
      ['out', { path: outPath('m'), hashAlgo: '', hash: '' }],
      ['dev', { path: outPath('m', 'dev'), hashAlgo: '', hash: '' }],
    ]);
    world.derivation('m', { outputs });
    world.valid.add(outPath('m'));
    const planner = world.planner();
    const first = await planner.plan([{ drvPath: drvPath('m'), outputs: ['out'] }]);
    const second = await planner.plan([{ drvPath: drvPath('m'), outputs: ['dev'] }]);
    expect(first.derivations).toEqual([]);
    expect(second.derivations.map(({ node }) => node.name)).toEqual(['m']);
  });

  test('keeps fixed-output and preferLocalBuild derivations at home', async () => {
    const world = new World();
    const fixed = new Map([['out', { path: outPath('f'), hashAlgo: 'sha256', hash: 'ab'.repeat(32) }]]);
    const roots = [
      world.derivation('f', { outputs: fixed }),
      world.derivation('p', { env: { preferLocalBuild: '1' } }),
      world.derivation('n'),
    ];
    const { derivations } = await world.planner().plan(roots);
    const pinned = Object.fromEntries(derivations.map(({ node }) => [node.name, node.place]));
    expect(pinned).toEqual({ f: 'prefer-home', p: 'prefer-home', n: 'anywhere' });
  });

  test('realises at home what has no output path before it is built, and what is built from it', async () => {
    const world = new World();
    const floating = new Map([['out', { path: '', hashAlgo: 'r:sha256', hash: '' }]]);
    const deferred = new Map([['out', { path: '', hashAlgo: '', hash: '' }]]);
    world.derivation('ca', { outputs: floating });
    const root = world.derivation('user', { outputs: deferred, inputs: { ca: ['out'] } });
    const { derivations } = await world.planner().plan([root]);
    expect(derivations.map(({ method, node }) => [node.name, method, node.place]).sort()).toEqual([
      ['ca', 'realise', 'home'],
      ['user', 'realise', 'home'],
    ]);
  });

  test('builds anywhere what gets its path from its content, where Nix here can be told of it, unless it knows it already', async () => {
    const world = new World();
    const outputs = new Map([['out', { path: '', hashAlgo: 'r:sha256', hash: '' }]]);
    for (const name of ['new', 'known']) world.derivation(name, { outputs });
    const root = world.derivation('user', { inputs: { new: ['out'], known: ['out'] }, outputs });
    const { derivations } = await world.planner(undefined, [drvPath('known')]).plan([root]);
    const planned = derivations.map(({ node, method }) => [node.name, method, node.place, node.unresolved]);
    expect(planned.sort()).toEqual([
      ['known', 'realise', 'home', true],
      ['new', 'build', 'anywhere', true],
      ['user', 'build', 'anywhere', true],
    ]);
    // What is there takes no machine with the right features.
    expect(derivations.find(({ node }) => node.name === 'known')?.node.requiredFeatures).toEqual([]);
  });

  test('says which derivation cannot be read', async () => {
    const world = new World();
    const root = world.derivation('a', { inputs: { gone: ['out'] } });
    await expect(world.planner().plan([root])).rejects.toMatchObject({
      code: 'BUILD_UNREADABLE_DERIVATION',
      message: expect.stringContaining(drvPath('gone')),
    });
  });

  test('says which derivation is garbled', async () => {
    const world = new World();
    const root = world.derivation('a');
    world.files.set(root.drvPath, Buffer.from('Derive(nonsense'));
    await expect(world.planner().plan([root])).rejects.toMatchObject({ code: 'NIX_BAD_DERIVATION' });
  });
});

test('a derivation is named without its hash and suffix', () => {
  expect(derivationName(drvPath('zlib-1.3.1'))).toBe('zlib-1.3.1');
});
