import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cheapestSource, type MissingRoot, missingClosure } from './cheapest-source.ts';
import type { UpstreamOffer } from './upstream.ts';

const MIB = 1024 * 1024;
const LAN = { latencyMs: 1, bytesPerMs: 100_000 };
const WIFI = { latencyMs: 5, bytesPerMs: 1_000 };
const LINE = { latencyMs: 60, bytesPerMs: 5_000 };

const offer = (mib: number, references: readonly string[] = []): UpstreamOffer => ({
  downloadBytes: (mib * MIB) / 4,
  narBytes: mib * MIB,
  references,
});

describe('the cheapest source of an input', () => {
  const offers = new Map([['gcc', offer(200)]]);

  test('is a member on a fast LAN', () => {
    const choice = cheapestSource([{ path: 'gcc', members: LAN }], offers, LINE);
    expect(choice).toEqual({ fromMembers: ['gcc'], fromUpstream: [], overlap: false });
  });

  test('is a substituter where the LAN is slower than its line', () => {
    const choice = cheapestSource([{ path: 'gcc', members: WIFI }], offers, LINE);
    expect(choice.fromUpstream).toEqual(['gcc']);
  });

  test('is the member nearby for little, because a substituter takes longer to answer', () => {
    const little = new Map([['gcc', offer(0.01)]]);
    expect(cheapestSource([{ path: 'gcc', members: WIFI }], little, LINE).fromMembers).toEqual(['gcc']);
  });

  test('is a substituter where no member has it, and members where no substituter does', () => {
    const roots = [{ path: 'gcc' }, { path: 'built', members: WIFI }];
    const choice = cheapestSource(roots, offers, LINE);
    expect(choice).toEqual({ fromMembers: ['built'], fromUpstream: ['gcc'], overlap: false });
  });

  test('does not count what comes from upstream anyway', () => {
    const shared = new Map([
      ['app', offer(1, ['libc'])],
      ['lib', offer(4, ['libc'])],
      ['libc', offer(1_000)],
    ]);
    const members = { latencyMs: 1, bytesPerMs: 20_000 };
    const apart = cheapestSource([{ path: 'lib', members }], shared, LINE);
    expect(apart.fromMembers).toEqual(['lib']);
    const choice = cheapestSource([{ path: 'lib', members }, { path: 'app' }], shared, LINE);
    expect(choice).toEqual({ fromMembers: ['lib'], fromUpstream: ['app'], overlap: true });
  });
});

describe('every choice', () => {
  const speed = fc.record({
    latencyMs: fc.double({ min: 0, max: 1_000, noNaN: true }),
    bytesPerMs: fc.double({ min: 1, max: 1e6, noNaN: true }),
  });
  /** Paths are numbers; each refers to smaller ones only. */
  const closures = fc
    .array(
      fc.record({
        downloadBytes: fc.nat(1e9),
        narBytes: fc.nat(1e9),
        references: fc.array(fc.nat(20), { maxLength: 4 }),
      }),
      { minLength: 1, maxLength: 20 },
    )
    .map(
      (all) =>
        new Map(
          all.map(({ references, ...sizes }, index) => [
            `${index}`,
            { ...sizes, references: references.filter((other) => other < index).map(String) },
          ]),
        ),
    );
  const wanted = fc.uniqueArray(
    fc.record({ path: fc.nat(25).map(String), members: fc.option(speed, { nil: undefined }) }),
    { selector: ({ path }) => path, maxLength: 15 },
  );
  const rootsOf = (all: { path: string; members: MissingRoot['members'] | undefined }[]): MissingRoot[] =>
    all.map(({ path, members }) => (members === undefined ? { path } : { path, members }));

  test('puts each root on one side, and on upstream’s only what is offered', () => {
    fc.assert(
      fc.property(wanted, closures, speed, (all, offers, upstream) => {
        const { fromMembers, fromUpstream } = cheapestSource(rootsOf(all), offers, upstream);
        expect([...fromMembers, ...fromUpstream].sort()).toEqual(all.map(({ path }) => path).sort());
        for (const path of fromUpstream) expect(offers.has(path)).toBe(true);
        for (const { path, members } of all)
          if (members === undefined && offers.has(path)) expect(fromUpstream).toContain(path);
      }),
    );
  });

  test('says that the sides overlap exactly where they would bring the same path', () => {
    fc.assert(
      fc.property(wanted, closures, speed, (all, offers, upstream) => {
        const { fromMembers, fromUpstream, overlap } = cheapestSource(rootsOf(all), offers, upstream);
        const of = (roots: readonly string[]) =>
          new Set(roots.flatMap((root) => [...missingClosure(root, offers)]));
        expect(overlap).toBe(!of(fromMembers).isDisjointFrom(of(fromUpstream)));
      }),
    );
  });

  test('of one root is the faster source, and a faster source is never left for it', () => {
    fc.assert(
      fc.property(
        closures,
        speed,
        speed,
        fc.double({ min: 1, max: 100, noNaN: true }),
        (offers, members, upstream, factor) => {
          const root = `${offers.size - 1}`;
          const { fromUpstream } = cheapestSource([{ path: root, members }], offers, upstream);
          if (fromUpstream.length === 0) return;
          const faster = { latencyMs: upstream.latencyMs / factor, bytesPerMs: upstream.bytesPerMs * factor };
          expect(cheapestSource([{ path: root, members }], offers, faster).fromUpstream).toEqual([root]);
        },
      ),
    );
  });
});
