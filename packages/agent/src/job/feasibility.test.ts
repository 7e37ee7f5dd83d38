import { type DerivationNode, machine, type WorkerInfo } from '@mesh/schedule';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Feasibility, type MachinesInSight } from './feasibility.ts';

const worker = (name: string, changes: Partial<WorkerInfo> = {}): WorkerInfo => ({
  peerId: name,
  name,
  isHome: name === 'h1',
  systems: ['x86_64-linux'],
  features: [],
  slots: 2,
  ...changes,
});
const node = (name: string, changes: Partial<DerivationNode> = {}): DerivationNode => ({
  drvPath: `/${name}.drv`,
  name,
  system: 'x86_64-linux',
  requiredFeatures: [],
  dependencies: [],
  place: 'anywhere',
  predictedMs: 1,
  outputs: [],
  ...changes,
});
const sight = (workers: WorkerInfo[], changes: Partial<MachinesInSight> = {}): MachinesInSight => ({
  workers,
  expected: [],
  others: [],
  ...changes,
});
const kvm = node('vm-test', { requiredFeatures: ['kvm'] });

function needs(nodes: DerivationNode[], policy: ConstructorParameters<typeof Feasibility>[0] = {}) {
  const feasibility = new Feasibility(policy);
  feasibility.add(nodes);
  return feasibility;
}

describe('a plan', () => {
  it('can be carried out where each derivation has a machine', () => {
    const feasibility = needs([node('a'), kvm]);
    expect(
      feasibility.derivations(sight([worker('h1'), worker('h2', { features: ['kvm'] })])),
    ).toBeUndefined();
  });

  it('is impossible for want of a feature: says what is needed, who offers what, and how many more', () => {
    const found = needs([node('a'), kvm, node('other', { system: 'riscv64-linux' })]).derivations(
      sight([worker('h1', { features: ['big-parallel'] }), worker('h2')], {
        others: ['h3 is not connected'],
      }),
    );
    expect(found).toEqual({
      drvPath: '/vm-test.drv',
      mayPass: false,
      message:
        'No machine can build vm-test (and 1 more), which needs the system x86_64-linux and the feature kvm (h1 offers x86_64-linux, big-parallel; h2 offers x86_64-linux, no features; h3 is not connected); add a machine that can, or give one the missing system or feature in its Nix configuration.',
    });
  });

  it('is impossible by choice: says which option leaves out whom, and who would do', () => {
    const found = needs([kvm], { not: [machine('h2')] }).derivations(
      sight([worker('h1'), worker('h2', { features: ['kvm'] })]),
    );
    expect(found?.message).toMatch(
      /h2 offers x86_64-linux, kvm, but is left out by --not h2\); let h2 take part/,
    );
  });

  it('says what a machine has of what was asked for', () => {
    const only = [
      { text: 'cores>=16', terms: [{ type: 'cores', atLeast: 16 }] as const },
      { text: 'tag=big', terms: [{ type: 'tag', value: 'big' }] as const },
    ];
    const found = needs([node('a')], { only }).choice(
      sight([worker('h1', { cores: 8 }), worker('h2', { cores: 1, tags: ['small', 'old'] })]),
    );
    expect(found?.message).toBe(
      "The choice of machines leaves none to build on (h1 is left out by --on 'cores>=16,tag=big': it has 8 cores, no tags; h2 is left out by --on 'cores>=16,tag=big': it has 1 core, the tags small old); choose others, or connect one that suits.",
    );
  });

  it('may become possible when a machine comes that could, or that nobody knows', () => {
    const feasibility = needs([kvm]);
    const mayPass = (info: WorkerInfo | undefined) =>
      feasibility.derivations(sight([worker('h1')], { expected: [{ name: 'h2', info }] }))?.mayPass;
    expect(mayPass(worker('h2', { features: ['kvm'] }))).toBe(true);
    expect(mayPass(undefined)).toBe(true);
    expect(mayPass(worker('h2'))).toBe(false);
  });

  it('speaks of what no machine to come could build, where there is such', () => {
    const info = worker('h2', { features: ['kvm'] });
    const found = needs([kvm, node('other', { system: 'riscv64-linux' })]).derivations(
      sight([worker('h1')], { expected: [{ name: 'h2', info }] }),
    );
    expect(found).toMatchObject({ drvPath: '/other.drv', mayPass: false });
    expect(found?.message).toMatch(/^No machine can build other, which needs the system riscv64-linux /);
  });

  it('may become possible when a machine takes builds again', () => {
    const closed = worker('h2', { features: ['kvm'], slots: 0, closed: 'paused by its owner' });
    const found = needs([kvm]).derivations(sight([worker('h1'), closed]));
    expect(found?.mayPass).toBe(true);
    expect(found?.message).toMatch(
      /h2 offers x86_64-linux, kvm, but takes no builds now: paused by its owner\); build again when h2 takes builds\.$/,
    );
    const never = needs([kvm]).derivations(sight([worker('h1'), { ...closed, closed: undefined }]));
    expect(never?.mayPass).toBe(false);
  });

  it('waits for nobody where only its home will do', () => {
    const policy = { not: [machine('h1')] };
    const found = needs([node('addressed', { place: 'home' })], policy).derivations(
      sight([worker('h1'), worker('h2')], { expected: [{ name: 'h3' }] }),
    );
    expect(found).toMatchObject({ mayPass: false, message: expect.stringMatching(/its home to build it/) });
    expect(found?.message).toMatch(/h2 offers .*, but is not the home\); let h1 take part/);
  });

  it('that only fetches from substituters needs no machine of those chosen', () => {
    const feasibility = needs([node('offered', { place: 'substitute', system: 'builtin' })], {
      only: [machine('h9')],
    });
    expect(feasibility.choice(sight([worker('h1')]))).toBeUndefined();
    expect(feasibility.derivations(sight([worker('h1')]))).toBeUndefined();
  });

  it('that is empty is possible, whatever was chosen', () => {
    expect(needs([], { only: [machine('h9')] }).choice(sight([worker('h1')]))).toBeUndefined();
  });
});

describe('what is impossible', () => {
  const word = fc.constantFrom('a', 'b', 'c');
  const anyWorker = fc.record({
    systems: fc.uniqueArray(word),
    features: fc.uniqueArray(word),
    slots: fc.nat(2),
  });

  it('is what no machine in sight has, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(anyWorker, { maxLength: 4 }),
        fc.array(fc.record({ system: word, requiredFeatures: fc.uniqueArray(word) }), { maxLength: 5 }),
        (infos, wanted) => {
          const workers = infos.map((info, i) => worker(`w${i}`, info));
          const found = needs(wanted.map((want, i) => node(`d${i}`, want))).derivations(sight(workers));
          const impossible = wanted.filter(
            (want) =>
              !workers.some(
                (each) =>
                  each.slots > 0 &&
                  each.systems.includes(want.system) &&
                  want.requiredFeatures.every((feature) => each.features.includes(feature)),
              ),
          );
          expect(found === undefined).toBe(impossible.length === 0);
          const more = /\(and (\d+) more\)/.exec(found?.message ?? '')?.[1] ?? '0';
          if (found !== undefined) expect(Number(more)).toBe(impossible.length - 1);
        },
      ),
    );
  });
});
