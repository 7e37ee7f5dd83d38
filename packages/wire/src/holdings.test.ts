import { describe, expect, it } from 'vitest';
import { decode, encode } from './codec.ts';
import { HASH_BYTES, HOLDINGS_MAX_ADDED, HOLDINGS_PAGE_BYTES, holdingsMessageSchema } from './holdings.ts';

const SUMMARY = {
  type: 'summary',
  version: 1,
  epoch: 5,
  bits: 1024,
  hashes: 7,
  paths: 3,
  offset: 0,
  page: new Uint8Array(128),
};

const hear = (message: unknown) => decode(holdingsMessageSchema, encode(message));

describe('messages about holdings', () => {
  it.each([
    ['a page', SUMMARY],
    ['news', { type: 'added', epoch: 5, sequence: 0, hashes: new Uint8Array(HASH_BYTES * 2) }],
    ['a refusal', { type: 'refused', reason: 'version' }],
  ])('%s passes as it is, without what it does not know', (_, message) => {
    expect(hear({ ...message, news: 'of a later version' })).toEqual(message);
  });

  it('a summary of another version passes as no more than that, whatever else it says', () => {
    expect(hear({ type: 'summary', version: 2, bits: 'many' })).toEqual({ type: 'summary', version: 2 });
  });

  it.each([
    ['a filter of broken bytes', { ...SUMMARY, bits: 1025 }],
    ['a filter beyond the limit', { ...SUMMARY, bits: 8 * 5 * 1024 * 1024 }],
    ['a filter of no bits', { ...SUMMARY, bits: 0 }],
    ['no hashes', { ...SUMMARY, hashes: 0 }],
    ['an empty page', { ...SUMMARY, page: new Uint8Array(0) }],
    ['a page beyond the limit', { ...SUMMARY, page: new Uint8Array(HOLDINGS_PAGE_BYTES + 1) }],
    ['half a hash', { type: 'added', epoch: 5, sequence: 0, hashes: new Uint8Array(HASH_BYTES + 1) }],
    [
      'too many hashes',
      {
        type: 'added',
        epoch: 5,
        sequence: 0,
        hashes: new Uint8Array(HASH_BYTES * (HOLDINGS_MAX_ADDED + 1)),
      },
    ],
  ])('%s is refused', (_, message) => {
    expect(() => hear(message)).toThrow(expect.objectContaining({ code: 'WIRE_BAD_MESSAGE' }));
  });
});
