import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allows, eligible, type Need, whyImpossible } from './eligibility.ts';
import { machine } from './machine-selector.ts';
import type { MachineSelector, MachineTerm, WorkerInfo } from './types.ts';

const worker = (peerId: string, changes: Partial<WorkerInfo> = {}): WorkerInfo => ({
  peerId,
  name: peerId,
  isHome: peerId === 'h',
  systems: ['x86_64-linux'],
  features: [],
  slots: 2,
  ...changes,
});
const need = (changes: Partial<Need> = {}): Need => ({
  system: 'x86_64-linux',
  requiredFeatures: [],
  place: 'anywhere',
  policies: [{}],
  avoid: new Set(),
  lastTry: false,
  ...changes,
});
const selector = (...terms: MachineTerm[]): MachineSelector => ({ text: JSON.stringify(terms), terms });
const names = (wanted: Need, ...workers: WorkerInfo[]) =>
  eligible(
    wanted,
    workers.map((info) => ({ info })),
  ).map(({ info }) => info.name);

describe('mandatory features', () => {
  const lab = worker('lab', { features: ['kvm'], mandatoryFeatures: ['nixos-test', 'benchmark'] });

  it('keep a machine for what requires all of them, and count as offered', () => {
    const asks = (...requiredFeatures: string[]) => names(need({ requiredFeatures }), lab);
    expect(asks()).toEqual([]);
    expect(asks('nixos-test')).toEqual([]);
    expect(asks('benchmark', 'nixos-test')).toEqual(['lab']);
    expect(asks('benchmark', 'nixos-test', 'kvm')).toEqual(['lab']);
    expect(asks('benchmark', 'nixos-test', 'big-parallel')).toEqual([]);
  });

  it('are named where nobody can build something', () => {
    expect(whyImpossible('hello', need(), [lab], [])).toContain(
      'only for what needs nixos-test and benchmark',
    );
  });
});

describe('a choice of machines', () => {
  const big = worker('big', {
    systems: ['x86_64-linux', 'aarch64-linux'],
    features: ['kvm'],
    tags: ['rack1'],
    cores: 16,
    speed: 1.5,
    memoryBytes: 32e9,
  });
  const plain = worker('plain');

  it.each([
    { type: 'peer', peerId: 'big' },
    { type: 'name', value: 'big' },
    { type: 'system', value: 'aarch64-linux' },
    { type: 'feature', value: 'kvm' },
    { type: 'tag', value: 'rack1' },
    { type: 'cores', atLeast: 16 },
    { type: 'speed', atLeast: 1.5 },
    { type: 'memory', atLeast: 32e9 },
  ] satisfies MachineTerm[])('by $type', (term) => {
    expect(names(need({ policies: [{ only: [selector(term)] }] }), plain, big)).toEqual(['big']);
    expect(names(need({ policies: [{ not: [selector(term)] }] }), plain, big)).toEqual(['plain']);
  });

  it('of which --not wins over --on, and which empty leaves nobody', () => {
    const both = { only: [machine('big'), machine('plain')], not: [machine('big')] };
    expect(names(need({ policies: [both] }), plain, big)).toEqual(['plain']);
    expect(names(need({ policies: [{ only: [] }] }), plain, big)).toEqual([]);
  });

  it('of one job does not bind another that wants the same', () => {
    const policies = [{ only: [machine('big')] }, { not: [machine('big')] }];
    expect(names(need({ policies }), plain, big)).toEqual(['plain', 'big']);
  });

  it('of cores falls back to slots where a machine does not say', () => {
    const twoCores = { only: [selector({ type: 'cores', atLeast: 2 })] };
    expect(allows(twoCores, worker('a', { slots: 2 }))).toBe(true);
    expect(allows(twoCores, worker('a', { slots: 4, cores: 1 }))).toBe(false);
  });

  const anyTerm: fc.Arbitrary<MachineTerm> = fc.oneof(
    fc.record({ type: fc.constant('tag' as const), value: fc.constantFrom('a', 'b') }),
    fc.record({ type: fc.constant('cores' as const), atLeast: fc.nat(8) }),
  );
  const anyWorker = fc
    .record({ cores: fc.nat(8), tags: fc.uniqueArray(fc.constantFrom('a', 'b')) })
    .map((info) => worker('w', info));

  it('grows with every selector, shrinks with every term', () => {
    fc.assert(
      fc.property(anyWorker, fc.array(fc.array(anyTerm, { minLength: 1 })), anyTerm, (info, groups, term) => {
        const only = groups.map((terms) => selector(...terms));
        if (allows({ only }, info)) expect(allows({ only: [...only, selector(term)] }, info)).toBe(true);
        const stricter = groups.map((terms) => selector(...terms, term));
        if (allows({ only: stricter }, info)) expect(allows({ only }, info)).toBe(true);
      }),
    );
  });
});

describe('why nobody can', () => {
  it('names a few machines of many, and counts the rest', () => {
    const workers = Array.from({ length: 20 }, (_, i) => worker(`w${i}`));
    const sentence = whyImpossible('x', need({ requiredFeatures: ['kvm'] }), workers);
    expect(sentence).toMatch(/w15 offers x86_64-linux, no features; 12 more cannot either\)/);
    expect(sentence).not.toContain('w2');
  });

  it('says that nobody is there', () => {
    expect(whyImpossible('x', need(), [])).toMatch(/\(no machine is connected\)/);
  });

  it('advises what would help', () => {
    const kvm = need({ requiredFeatures: ['kvm'], policies: [{ not: [machine('a')] }] });
    const a = worker('a', { features: ['kvm'] });
    expect(whyImpossible('x', kvm, [a])).toMatch(/let a take part in this build\.$/);
    const closed = { ...a, slots: 0, closed: 'paused by its owner' };
    expect(whyImpossible('x', { ...kvm, policies: [{}] }, [closed])).toMatch(
      /build again when a takes builds\.$/,
    );
    expect(whyImpossible('x', kvm, [worker('b')])).toMatch(/add a machine that can, or give one the missing/);
  });
});
