import { beforeEach, describe, expect, it } from 'vitest';
import { after, built, clock, grants, job, known, newHome, of, started, steal, up } from './home-scenario.ts';

beforeEach(newHome);

const ARM = 'aarch64-linux';
const arm = (name: string, predictedMs: number) => ({ ...known(name, predictedMs), system: ARM });
/** An x86_64 machine that can emulate, ten times slower. */
const emulator = (peerId: string) => up(peerId, { systems: ['x86_64-linux', ARM], emulated: { [ARM]: 0.1 } });
const native = (peerId: string, speed = 1) => up(peerId, { systems: [ARM], speed });

describe('a build for a foreign system', () => {
  it('is emulated where there is no native machine, predicted at its slowdown', () => {
    const [grant] = of('grant', after(emulator('a'), steal('a'), ...job([arm('1', 10_000)])));
    expect(grant).toMatchObject({ peerId: 'a', expectedMs: 100_000 });
  });

  it('goes to a native machine where there is one', () => {
    after(emulator('a'), native('n'), steal('a'), steal('n'));
    expect(grants(after(...job([arm('1', 10_000)])))).toEqual(['1 <- n']);
  });

  it('goes to a native machine that is slow, too', () => {
    after(emulator('a'), native('n', 0.25), steal('a'), steal('n'));
    expect(grants(after(...job([arm('1', 10_000)])))).toEqual(['1 <- n']);
  });

  it('waits for the native machine while that ends sooner', () => {
    after(emulator('a'), native('n'), steal('n'), ...job([arm('running', 20_000)], {}, 'k'));
    after(started('running'));
    expect(grants(after(steal('a'), ...job([arm('1', 10_000)])))).toEqual([]);
    clock.now = 20_000;
    after(built('running'));
    expect(grants(after(steal('n')))).toEqual(['1 <- n']);
  });

  it('is emulated while there is more of it than the native machines get done sooner', () => {
    after(emulator('a'), native('n'), steal('n'), steal('a'));
    const many = Array.from({ length: 40 }, (_, i) => arm(`${i}`, 10_000));
    const where = grants(after(...job(many)));
    expect(where).toHaveLength(2);
    expect(where.map((each) => each.slice(-1)).sort()).toEqual(['a', 'n']);
  });

  it('does not take the slots of the machine’s own system', () => {
    after(emulator('a'), native('n'), steal('n'), ...job([arm('running', 20_000)], {}, 'k'));
    after(started('running'));
    after(...job([arm('1', 10_000), ...['2', '3', '4'].map((name) => known(name, 60_000))]));
    expect(grants(after(steal('a')))).toEqual(['2 <- a']);
  });

  it('is not raced by emulation', () => {
    after(native('n'), steal('n'), ...job([arm('1', 60_000)]));
    after(started('1'), emulator('a'));
    expect(grants(after(steal('a')))).toEqual([]);
  });
});
