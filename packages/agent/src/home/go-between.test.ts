import { silentLogger } from '@mesh/net';
import { ManualClock } from '@mesh/net/testing';
import { describe, expect, it } from 'vitest';
import { GoBetween } from './go-between.ts';
import { Holders } from './holders.ts';

const MADE = '/nix/store/made';

function standing() {
  const holders = new Holders();
  holders.add(MADE, 'h2');
  const clock = new ManualClock();
  const connected = new Set(['h2', 'h3']);
  const fetched: string[][] = [];
  let arrival = Promise.resolve();
  const between = new GoBetween({
    self: 'h1',
    holders,
    clock,
    logger: silentLogger,
    isConnected: (peerId) => connected.has(peerId),
    fetch: (inputs) => {
      fetched.push(inputs.map(({ path }) => path));
      return arrival;
    },
  });
  const slowly = () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    arrival = promise;
    return { resolve, reject };
  };
  return { between, holders, clock, connected, fetched, slowly };
}

describe('a home between two machines that do not reach each other', () => {
  it('brings what the one made, and has it for the other from then on', async () => {
    const { between, holders, fetched } = standing();
    expect(between.canHelp('h3', [MADE])).toBe(true);
    expect(await between.bring([MADE], () => undefined)).toBe(true);
    expect(fetched).toEqual([[MADE]]);
    expect(holders.of(MADE)).toEqual(['h2', 'h1']);
  });

  it('keeps the lease that waits alive, and not longer', async () => {
    const { between, clock, slowly } = standing();
    const { resolve } = slowly();
    let signs = 0;
    const bringing = between.bring([MADE], () => signs++);
    clock.pass(10_000);
    expect(signs).toBe(10);
    resolve();
    await bringing;
    clock.pass(10_000);
    expect(signs).toBe(10);
  });

  it('can do nothing about what nobody else has, or only somebody it does not reach itself', () => {
    const { between, connected } = standing();
    expect(between.canHelp('h3', ['/nix/store/other'])).toBe(false);
    expect(between.canHelp('h2', [MADE])).toBe(false);
    expect(between.canHelp('h3', [])).toBe(false);
    connected.delete('h2');
    expect(between.canHelp('h3', [MADE])).toBe(false);
  });

  it('brings a path once: that it is here already is no help to whom it did not help before', async () => {
    const { between, fetched } = standing();
    expect(await between.bring([MADE], () => undefined)).toBe(true);
    expect(await between.bring([MADE], () => undefined)).toBe(false);
    expect(fetched).toHaveLength(1);
  });

  it('says so where it cannot get it either', async () => {
    const { between, slowly, holders } = standing();
    const { reject } = slowly();
    const bringing = between.bring([MADE], () => undefined);
    reject(new Error('gone'));
    expect(await bringing).toBe(false);
    expect(holders.of(MADE)).toEqual(['h2']);
  });
});
