import type { NodeRecord } from '@mesh/wire';
import { describe, expect, it } from 'vitest';
import { generateIdentity } from './identity.ts';
import { RecordBook, signNodeRecord } from './record-book.ts';
import { OWN_RECORD } from './testing.ts';

const ann = generateIdentity();
const record = (sequence: number, name = 'ann'): NodeRecord => ({
  version: 1,
  peerId: ann.peerId,
  sequence,
  name,
  addresses: [],
  ...OWN_RECORD,
});
const anybody = () => true;

describe('the record book', () => {
  it('keeps the record with the highest sequence, in whatever order they come', () => {
    const book = new RecordBook();
    expect(book.accept(signNodeRecord(record(2, 'new'), ann), anybody)?.name).toBe('new');
    expect(book.accept(signNodeRecord(record(1, 'old'), ann), anybody)).toBeUndefined();
    expect(book.accept(signNodeRecord(record(2, 'again'), ann), anybody)).toBeUndefined();
    expect(book.get(ann.peerId)?.name).toBe('new');
  });

  it('refuses a record its subject did not sign', () => {
    const book = new RecordBook();
    const forged = signNodeRecord(record(1), generateIdentity());
    expect(() => book.accept(forged, anybody)).toThrow(expect.objectContaining({ code: 'NET_BAD_RECORD' }));
    expect(book.get(ann.peerId)).toBeUndefined();
  });

  it('refuses a record that was changed on its way', () => {
    const { payload, signature } = signNodeRecord(record(1), ann);
    const { payload: other } = signNodeRecord(record(3), ann);
    const book = new RecordBook();
    expect(() => book.accept({ payload: other, signature }, anybody)).toThrow();
    expect(book.accept({ payload, signature }, anybody)).toBeDefined();
  });

  it('wants no records of strangers, and forgets those of members that left', () => {
    const book = new RecordBook();
    expect(book.accept(signNodeRecord(record(1), ann), () => false)).toBeUndefined();
    book.accept(signNodeRecord(record(1), ann), anybody);
    book.prune(() => false);
    expect(book.envelopes()).toEqual([]);
  });

  it('refuses a record of a version it does not know', () => {
    const later = signNodeRecord({ ...record(1), version: 2 } as never, ann);
    expect(() => new RecordBook().accept(later, anybody)).toThrow(
      expect.objectContaining({ code: 'WIRE_BAD_MESSAGE' }),
    );
  });
});
