import { describe, expect, it } from 'vitest';
import { WATCH_INTERVAL_MS, WOKE_AFTER_MS } from './constants.ts';
import type { InterfaceAddress } from './interfaces.ts';
import { Surroundings, type SurroundingsChange } from './surroundings.ts';
import { SleepingClock } from './testing.ts';

const at = (address: string): InterfaceAddress => ({
  name: 'eth0',
  address,
  prefix: 24,
  family: 4,
  multicast: true,
});

function watching() {
  const clock = new SleepingClock();
  const changes: SurroundingsChange[] = [];
  const machine = { addresses: [at('10.0.0.1')] };
  const surroundings = new Surroundings({
    clock,
    look: () => machine.addresses,
    onChange: (change) => changes.push(change),
  });
  surroundings.start();
  return { clock, changes, machine, surroundings };
}

describe('surroundings', () => {
  it('say nothing while nothing happens, and nothing of a busy moment', () => {
    const { clock, changes } = watching();
    clock.pass(60_000);
    clock.stall(WOKE_AFTER_MS);
    clock.pass(60_000);
    expect(changes).toEqual([]);
  });

  it('tell of a new address within a second', () => {
    const { clock, changes, machine, surroundings } = watching();
    machine.addresses = [at('10.0.0.2')];
    clock.pass(WATCH_INTERVAL_MS);
    expect(changes).toEqual([{ addresses: { come: [at('10.0.0.2')], gone: [at('10.0.0.1')] } }]);
    expect(surroundings.addresses).toEqual([at('10.0.0.2')]);
  });

  it('tell of sleep, which stops all but the wall clock, once', () => {
    const { clock, changes } = watching();
    clock.asleepMs = 3_600_000;
    clock.pass(10 * WATCH_INTERVAL_MS);
    expect(changes).toEqual([{ sleptMs: 3_600_000 }]);
  });

  it('tell of a stop, which makes timers late, once', () => {
    const { clock, changes } = watching();
    clock.stall(WATCH_INTERVAL_MS + 20_000);
    clock.pass(10 * WATCH_INTERVAL_MS);
    expect(changes).toEqual([{ stoodStillMs: 20_000 }]);
  });

  it('are not watched any more after the end', () => {
    const { clock, changes, machine, surroundings } = watching();
    surroundings.stop();
    machine.addresses = [];
    clock.stall(60_000);
    expect(changes).toEqual([]);
  });
});
