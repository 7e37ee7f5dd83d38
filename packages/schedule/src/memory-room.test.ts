import { beforeEach, describe, expect, it } from 'vitest';
import { after, built, grants, job, known, newHome, started, steal, up } from './home-scenario.ts';

const GIB = 2 ** 30;
const hungry = known('1', 1_000, [], { memoryPeakBytes: 4 * GIB });

describe('a machine with less memory than builds of a name took', () => {
  beforeEach(newHome);

  it('does not get one while another machine has enough, however fast or preferred it is', () => {
    const options = { prefer: [{ text: 'small', terms: [{ type: 'peer' as const, peerId: 'small' }] }] };
    after(up('small', { memoryBytes: 2 * GIB, speed: 8 }), up('big', { memoryBytes: 8 * GIB }));
    expect(grants(after(steal('small'), ...job([hungry], options)))).toEqual([]);
    expect(grants(after(steal('big')))).toEqual(['1 <- big']);
  });

  it('waits for that other one to be free', () => {
    after(up('small', { memoryBytes: 2 * GIB }), up('big', { memoryBytes: 8 * GIB }));
    after(steal('big'), ...job([known('0', 60_000)], {}, 'other'));
    after(started('0'));
    expect(grants(after(steal('small'), ...job([hungry])))).toEqual([]);
    expect(grants(after(built('0'), steal('big')))).toEqual(['1 <- big']);
  });

  it('counts by what is free of its memory while nothing builds there', () => {
    after(up('used', { memoryBytes: 8 * GIB, freeMemoryBytes: GIB }), up('idle', { memoryBytes: 8 * GIB }));
    expect(grants(after(steal('used'), ...job([hungry])))).toEqual([]);
    expect(grants(after(steal('idle')))).toEqual(['1 <- idle']);
  });

  it('may try where no machine has enough', () => {
    after(up('small', { memoryBytes: 2 * GIB }), up('smaller', { memoryBytes: GIB }));
    expect(grants(after(steal('small'), ...job([hungry])))).toEqual(['1 <- small']);
  });
});
