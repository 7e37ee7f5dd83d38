import { createHash } from 'node:crypto';
import type { HoldingsAdded, HoldingsSummary } from '@mesh/wire';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemberSummaries } from './member-summaries.ts';
import { MemberSummary } from './member-summary.ts';
import { hashOfPart, PathFilter } from './path-filter.ts';

const ROOM = 1024 * 1024;
const HASH_PARTS = Array.from({ length: 40 }, (_, i) => `${i}`.padStart(32, '0').replaceAll('e', 'f'));
const HASHES = HASH_PARTS.map((part) => hashOfPart(part)!);

/** The pages of a filter that has these, a few hundred bytes each. */
function pagesOf(hashes: readonly Uint8Array[], epoch: number): HoldingsSummary[] {
  const filter = PathFilter.sizedFor(0);
  for (const hash of hashes) filter.add(hash);
  const { bits, hashes: k, bytes } = filter;
  return Array.from({ length: Math.ceil(bytes.length / 400) }, (_, page) => ({
    type: 'summary',
    version: 1,
    epoch,
    bits,
    hashes: k,
    paths: hashes.length,
    offset: page * 400,
    page: bytes.slice(page * 400, page * 400 + 400),
  }));
}

function added(epoch: number, sequence: number, ...hashes: Uint8Array[]): HoldingsAdded {
  return { type: 'added', epoch, sequence, hashes: Buffer.concat(hashes) };
}

const hearAll = (summary: MemberSummary, messages: readonly (HoldingsSummary | HoldingsAdded)[]) =>
  messages.map((message) => summary.hear(message, ROOM));

describe('what a member tells of its holdings', () => {
  test('counts when its last page is there, with what was added since', () => {
    const summary = new MemberSummary();
    const pages = pagesOf(HASHES.slice(0, 10), 1);
    hearAll(summary, pages.slice(0, -1));
    expect(summary.filter).toBeUndefined();
    expect(
      hearAll(summary, [pages.at(-1)!, added(1, 0, HASHES[10]!), added(1, 1, HASHES[11]!, HASHES[12]!)]),
    ).toEqual(['taken', 'taken', 'taken']);
    for (const hash of HASHES.slice(0, 13)) expect(summary.filter?.has(hash)).toBe(true);
    expect(summary.filter?.has(HASHES[20]!)).toBe(false);
  });

  test('an earlier summary counts until the next is whole, and no longer', () => {
    const summary = new MemberSummary();
    hearAll(summary, pagesOf([HASHES[0]!], 1));
    const next = pagesOf([HASHES[1]!], 2);
    hearAll(summary, next.slice(0, -1));
    expect(summary.filter?.has(HASHES[0]!)).toBe(true);
    hearAll(summary, next.slice(-1));
    expect(summary.filter?.has(HASHES[0]!)).toBe(false);
    expect(summary.filter?.has(HASHES[1]!)).toBe(true);
  });

  test('a summary that begins anew before it was whole is the one that counts', () => {
    const summary = new MemberSummary();
    hearAll(summary, pagesOf([HASHES[0]!], 1).slice(0, 2));
    hearAll(summary, pagesOf([HASHES[1]!], 1));
    expect(summary.filter?.has(HASHES[1]!)).toBe(true);
    expect(summary.heldBytes).toBe(pagesOf([], 1)[0]!.bits / 8);
  });

  test('messages out of order are never taken: what counts is what was sent, or nothing', () => {
    const sent = [
      ...pagesOf(HASHES.slice(0, 10), 1),
      added(1, 0, HASHES[10]!),
      added(1, 1, HASHES[11]!),
      added(1, 2, HASHES[12]!),
    ];
    fc.assert(
      fc.property(fc.shuffledSubarray(sent, { minLength: 1 }), (heard) => {
        const summary = new MemberSummary();
        let next = 0;
        for (const message of heard) {
          const verdict = summary.hear(message, ROOM);
          if (verdict !== 'taken') break;
          // Only the first page may come again: it begins a summary.
          expect(message === sent[next] || message === sent[0]).toBe(true);
          next = message === sent[0] ? 1 : next + 1;
        }
      }),
    );
  });

  test.each<[string, HoldingsSummary | HoldingsAdded]>([
    ['of another epoch', added(2, 0, HASHES[0]!)],
    ['of a later sequence', added(1, 1, HASHES[0]!)],
    ['in the middle of nothing', { ...pagesOf([], 1)[0]!, offset: 400 }],
  ])('news %s do not follow on what was told', (_, message) => {
    const summary = new MemberSummary();
    hearAll(summary, pagesOf([], 1));
    expect(summary.hear(message, ROOM)).toBe('out-of-order');
  });

  test('a page beyond its own filter, or of another shape than the first, does not follow', () => {
    const [first, second] = pagesOf([], 1) as [HoldingsSummary, HoldingsSummary];
    for (const wrong of [
      { ...second, page: new Uint8Array(60_000) },
      { ...second, bits: second.bits * 2 },
      { ...second, hashes: 3 },
    ]) {
      const summary = new MemberSummary();
      expect(hearAll(summary, [first, wrong])).toEqual(['taken', 'out-of-order']);
    }
  });

  test('a version that is not known is told apart, and a filter for which there is no room', () => {
    expect(new MemberSummary().hear({ type: 'summary', version: 2 }, ROOM)).toBe('version');
    expect(new MemberSummary().hear(pagesOf([], 1)[0]!, 100)).toBe('limit');
  });

  test('a filter so full that it has everything says nothing', () => {
    const summary = new MemberSummary();
    hearAll(
      summary,
      pagesOf([], 1).map((page) => ({ ...page, page: page.page.map(() => 255) })),
    );
    expect(summary.filter).toBeUndefined();
  });
});

describe('what all members tell', () => {
  const path = (index: number) => `/nix/store/${HASH_PARTS[index]}-name`;
  const random = (text: string) => createHash('sha1').update(text).digest();

  test('connected members are named whose summary has the path; those without a summary are unknown', () => {
    let connected = ['a', 'b', 'c'];
    const summaries = new MemberSummaries(() => connected);
    for (const page of pagesOf([HASHES[0]!, HASHES[1]!], 1)) summaries.hear('a', page);
    for (const page of pagesOf([HASHES[1]!], 1)) summaries.hear('b', page);
    expect(summaries.of(path(0))).toEqual(['a']);
    expect(summaries.of(path(1))).toEqual(['a', 'b']);
    expect(summaries.ofHash(HASH_PARTS[1]!)).toEqual(['a', 'b']);
    expect(summaries.of(path(2))).toEqual([]);
    expect(summaries.of('/etc/passwd')).toEqual([]);
    expect(summaries.ofHash('no hash')).toEqual([]);
    expect(summaries.unknown()).toEqual(['c']);
    connected = ['b'];
    expect(summaries.of(path(1))).toEqual(['b']);
    summaries.forget('b');
    expect(summaries.unknown()).toEqual(['b']);
  });

  test('all together stay within the limit; who has no room is unknown, the others are kept', () => {
    const bytes = pagesOf([], 1)[0]!.bits / 8;
    const names = ['a', 'b', 'c'];
    const summaries = new MemberSummaries(() => names, bytes * 2);
    for (const name of names) {
      for (const page of pagesOf([random(name)], 1)) {
        const verdict = summaries.hear(name, page);
        expect(verdict).toBe(name === 'c' ? 'limit' : 'taken');
        if (verdict !== 'taken') break;
      }
    }
    expect(summaries.heldBytes).toBe(bytes * 2);
    expect(summaries.unknown()).toEqual(['c']);
  });
});
