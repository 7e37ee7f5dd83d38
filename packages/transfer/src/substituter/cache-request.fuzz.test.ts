import { arbitraryMutations, mutated } from '@mesh/nix/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readRange } from './byte-range.ts';
import { narUrl, readCacheRequest } from './cache-request.ts';

const HASH_PART = '4iz6nn3akmsm5z92pxfvbnhr8izz5v88';
const NAR_HASH = '1kd842jm1zf5cfc4p81267pr9gn4an95vxi4plnppsg9f0g6ykv6';
const GOOD = ['/nix-cache-info', `/${HASH_PART}.narinfo`, `/${narUrl(HASH_PART, NAR_HASH)}`];
const BASE32 = /^[0-9a-df-np-sv-z]+$/;

/** What is asked by a URL, held against what such a question may be. */
function asked(url: string, method = 'GET', host = '127.0.0.1:4749'): string {
  const request = readCacheRequest({ method, url, host });
  if (request.kind === 'narinfo' || request.kind === 'nar') {
    expect(request.hashPart).toMatch(BASE32);
    expect(request.hashPart).toHaveLength(32);
  }
  if (request.kind === 'nar') expect(`/${narUrl(request.hashPart, request.narHash)}`).toBe(url);
  if (request.kind === 'refused') expect([400, 403, 405, 414]).toContain(request.status);
  return request.kind;
}

test('whatever is in a URL, what is looked up is a hash and never a place', () => {
  fc.assert(
    fc.property(fc.constantFrom(...GOOD), fc.option(arbitraryMutations, { nil: [] }), (url, mutations) => {
      asked(mutated(Buffer.from(url), mutations).toString('latin1'));
    }),
    { numRuns: 2_000 },
  );
  fc.assert(
    fc.property(fc.webUrl({ withFragments: true, withQueryParameters: true }), fc.webPath(), (url, path) => {
      expect(['unknown', 'refused']).toContain(asked(path));
      expect(asked(url)).toBe('refused');
    }),
  );
});

test('no other host’s name and no method that writes is answered', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...GOOD),
      fc.domain(),
      fc.constantFrom('PUT', 'POST', 'DELETE', 'get', ''),
      (url, host, method) => {
        expect(asked(url, 'GET', host)).toBe('refused');
        expect(asked(url, 'GET', `127.0.0.1.${host}`)).toBe('refused');
        expect(asked(url, 'GET', `${host}:4749`)).toBe('refused');
        expect(asked(url, method)).toBe('refused');
      },
    ),
  );
});

test('a range is always within the body, whatever the header says', () => {
  const header = fc.oneof(
    fc.tuple(fc.nat(2_000), fc.nat(2_000)).map(([first, last]) => `bytes=${first}-${last}`),
    fc
      .tuple(fc.constantFrom('bytes=', 'bytes', 'items='), fc.stringMatching(/^[0-9,\- ]{0,20}$/))
      .map((parts) => parts.join('')),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.option(header, { nil: undefined }), fc.integer({ min: 1, max: 1_000 }), (said, bytes) => {
      const range = readRange(said, bytes);
      if (typeof range === 'string') return;
      expect(range.first).toBeGreaterThanOrEqual(0);
      expect(range.first).toBeLessThanOrEqual(range.last);
      expect(range.last).toBeLessThan(bytes);
    }),
    { numRuns: 2_000 },
  );
});
