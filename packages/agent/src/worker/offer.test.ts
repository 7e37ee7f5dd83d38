import { describe, expect, it } from 'vitest';
import { type OfferConfig, type OfferFacts, offerOf } from './offer.ts';

const facts: OfferFacts = {
  slots: 4,
  cores: 4,
  minuteOfDay: 12 * 60,
  onMains: true,
  pause: undefined,
  userIsBusy: false,
  memoryIsShort: false,
  daemonIsDown: false,
  freeMemoryBytes: 2 ** 34,
  peerIdsOf: (name) => (name === 'ruby' ? ['12D3Ruby'] : []),
};
const offer = (config: OfferConfig, more: Partial<OfferFacts> = {}) => offerOf(config, { ...facts, ...more });

describe('what a machine offers', () => {
  it('is everything, half of it reserved for its own jobs', () => {
    expect(offer({})).toMatchObject({
      ownSlots: 4,
      otherSlots: 4,
      closed: undefined,
      capacity: { slots: 4, slotsForOthers: 4, cores: 4, reservedSlots: 2 },
    });
    expect(offer({ ownShare: 0.1 }).capacity.reservedSlots).toBe(1);
    expect(offer({ ownShare: 0 }).capacity.reservedSlots).toBe(0);
  });

  it('is as many slots for others, and cores in all, as its owner says', () => {
    expect(offer({ slots: 1 }).capacity).toMatchObject({ slots: 4, slotsForOthers: 1 });
    expect(offer({ cores: 2 }).capacity).toMatchObject({ slots: 2, slotsForOthers: 2, cores: 2 });
    expect(offer({ cores: 64 }).capacity.cores).toBe(4);
    expect(offer({ slots: 0 })).toMatchObject({ otherSlots: 0, closed: 'its owner offers no slots' });
  });

  it('is for those submitters alone that its owner names', () => {
    expect(offer({ submitters: ['ruby', 'unknown'] }).capacity.homes).toEqual(['12D3Ruby']);
    expect(offer({}).capacity.homes).toBeUndefined();
  });

  it('is nothing to others out of hours, on battery, or while paused; the own jobs never mind', () => {
    const closed = (config: OfferConfig, more: Partial<OfferFacts> = {}) => {
      const { ownSlots, otherSlots, capacity, closed: why } = offer(config, more);
      expect([ownSlots, otherSlots, capacity.slots, capacity.slotsForOthers]).toEqual([4, 0, 4, 0]);
      expect(capacity.closed).toBe(`This machine takes no builds now: ${why}.`);
      return why;
    };
    expect(closed({ hours: ['22:00-07:00', '13:00-14:00'] })).toBe(
      'its owner offers it 22:00-07:00 and 13:00-14:00 only',
    );
    expect(closed({ onlyOnMains: true }, { onMains: false })).toBe('it runs on battery');
    expect(closed({}, { pause: {} })).toBe('paused by its owner');
    expect(closed({}, { pause: { untilMs: 0, reason: 'talk' } })).toBe(
      'paused by its owner until 1970-01-01T00:00:00.000Z (talk)',
    );
    expect(offer({ hours: ['09:00-17:00'], onlyOnMains: true }).closed).toBeUndefined();
  });

  it('is nothing to others while its user needs it, but they may reckon with it soon', () => {
    expect(offer({}, { userIsBusy: true })).toMatchObject({
      otherSlots: 4,
      closed: 'its user needs the processors',
      capacity: { slots: 4, slotsForOthers: 0 },
    });
  });

  it('is nothing to anybody while nix-daemon does not answer, but all may reckon with it soon', () => {
    expect(offer({}, { daemonIsDown: true })).toMatchObject({
      ownSlots: 4,
      otherSlots: 4,
      closed: 'its nix-daemon does not answer',
      capacity: { slots: 0, slotsForOthers: 0, reservedSlots: 0 },
    });
  });

  it('is one build of its own while memory is short', () => {
    expect(offer({}, { memoryIsShort: true })).toMatchObject({
      ownSlots: 4,
      otherSlots: 4,
      capacity: { slots: 1, slotsForOthers: 0, reservedSlots: 1 },
    });
  });
});
