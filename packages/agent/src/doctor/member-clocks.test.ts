import { describe, expect, it } from 'vitest';
import { MemberClocks } from './member-clocks.ts';

describe("members' clocks", () => {
  it('are read off their records, of which those that took long on their way do not count', () => {
    const clocks = new MemberClocks();
    let now = 1_000_000;
    for (const delayMs of [3_000, 20, 900]) {
      clocks.heard({ peerId: 'ruby', sequence: now + 60_000 - delayMs }, now);
      now += 5_000;
    }
    expect(clocks.aheadMs('ruby')).toBe(59_980);
  });

  it('that are set right are right again after half a minute', () => {
    const clocks = new MemberClocks();
    clocks.heard({ peerId: 'ruby', sequence: 60_000 }, 0);
    for (let i = 0; i < 6; i++) clocks.heard({ peerId: 'ruby', sequence: -10 }, 0);
    expect(clocks.aheadMs('ruby')).toBe(-10);
  });

  it('are unknown after one record, which may be an old one', () => {
    const clocks = new MemberClocks();
    clocks.heard({ peerId: 'ruby', sequence: -600_000 }, 0);
    expect(clocks.aheadMs('ruby')).toBeUndefined();
    clocks.heard({ peerId: 'ruby', sequence: -30 }, 0);
    expect(clocks.aheadMs('ruby')).toBe(-30);
    expect(clocks.aheadMs('kana')).toBeUndefined();
  });
});
