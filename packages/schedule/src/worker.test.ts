import { beforeEach, describe, expect, it } from 'vitest';
import { stepWorker } from './worker.ts';
import type { WorkerCapacity, WorkerMachineEvent } from './worker-protocol.ts';
import { initialWorker, type WorkerState } from './worker-state.ts';

type Event = WorkerMachineEvent extends infer E ? (E extends unknown ? Omit<E, 'now'> : never) : never;

let worker: WorkerState;
let now: number;

beforeEach(() => {
  now = 0;
  worker = initialWorker({ self: 'w', incarnation: 'w', slots: 2, aheadSlots: 1 });
});

/** What the worker wants done after this, wake-ups left out. */
function after(event: Event) {
  const { effects } = stepWorker(worker, { now, ...event } as WorkerMachineEvent);
  return effects.filter((effect) => effect.type !== 'wake-at');
}

function leased(lease: string, home = 'h', ahead = false, request = 'r'): Event {
  return { type: 'leased', home, request, lease, attempt: 1, drvPath: `/${lease}.drv`, ahead };
}

const types = (effects: readonly { type: string }[]) => effects.map((effect) => effect.type);

describe('a worker', () => {
  it('parks a request for each free slot and for what comes next, at every home that has work', () => {
    const steals = after({ type: 'home-advertised', home: 'h' });
    expect(steals).toEqual([
      { type: 'steal', home: 'h', request: 'w-1', ahead: false },
      { type: 'steal', home: 'h', request: 'w-2', ahead: false },
      { type: 'steal', home: 'h', request: 'w-3', ahead: true },
    ]);
    expect(after({ type: 'home-advertised', home: 'h' })).toEqual([]);
    after({ type: 'home-advertised', home: 'h', hungry: false });
    expect(types(after({ type: 'home-advertised', home: 'other', hungry: false }))).toEqual([
      'steal',
      'steal',
      'steal',
    ]);
  });

  it('takes back elsewhere the request that a lease has used up, and parks anew when its build is done', () => {
    after({ type: 'home-advertised', home: 'h', hungry: false });
    after({ type: 'home-advertised', home: 'other', hungry: false });
    expect(after(leased('l1', 'h', false, 'w-1'))).toEqual([
      { type: 'fetch', home: 'h', drvPath: '/l1.drv', lease: 'l1', attempt: 1 },
      { type: 'unsteal', home: 'other', request: 'w-4' },
    ]);
    expect(types(after({ type: 'inputs-ready', lease: 'l1' }))).toEqual(['build', 'started']);
    const outcome = { type: 'failed' as const, message: 'exit code 1' };
    const done = after({ type: 'build-finished', lease: 'l1', outcome });
    expect(done[0]).toEqual({ type: 'result', home: 'h', lease: 'l1', attempt: 1, outcome });
    expect(types(done)).toEqual(['result', 'steal', 'steal']);
  });

  it('gives back what it has no slot for when two homes answer at once', () => {
    after({ type: 'home-advertised', home: 'h' });
    after({ type: 'home-advertised', home: 'other' });
    after(leased('l1', 'h'));
    after(leased('l2', 'other'));
    expect(after(leased('l3', 'h'))).toContainEqual({
      type: 'returned',
      home: 'h',
      lease: 'l3',
      attempt: 1,
      reason: 'busy',
    });
    expect(types(after(leased('l4', 'h', true)))).toContain('fetch');
    expect(types(after(leased('l5', 'other', true)))).toContain('returned');
  });

  it('builds an ahead lease the moment a slot is free, if its inputs are here', () => {
    after(leased('l1'));
    after(leased('l2'));
    after(leased('next', 'h', true));
    for (const lease of ['l1', 'l2', 'next']) after({ type: 'inputs-ready', lease });
    expect(worker.leases.get('next')?.phase).toBe('waiting');
    const outcome = { type: 'built' as const, outputs: [] };
    const effects = after({ type: 'build-finished', lease: 'l2', outcome });
    expect(effects).toContainEqual({ type: 'started', home: 'h', cores: 1, lease: 'next', attempt: 1 });
  });

  it('lets an ahead lease that has its inputs go before one that still fetches in a slot', () => {
    worker = initialWorker({ self: 'w', incarnation: 'w', slots: 1, aheadSlots: 2 });
    after(leased('slow', 'h', true));
    after(leased('quick', 'h', true));
    expect(worker.leases.get('slow')?.inSlot).toBe(true);
    expect(types(after({ type: 'inputs-ready', lease: 'quick' }))).toContain('build');
    expect(after({ type: 'inputs-ready', lease: 'slow' })).toEqual([]);
  });

  it('gives back an unstarted ahead lease when asked, but not one that has a slot', () => {
    after(leased('l1', 'h', true));
    expect(after({ type: 'revoke', home: 'h', lease: 'l1' })).toEqual([]);
    after(leased('l2'));
    after(leased('l3', 'h', true));
    expect(after({ type: 'revoke', home: 'another', lease: 'l3' })).toEqual([]);
    expect(types(after({ type: 'revoke', home: 'h', lease: 'l3' }))).toEqual(['abort', 'returned']);
    expect(worker.leases.has('l3')).toBe(false);
  });

  it('keeps the slot of a cancelled build until its process is gone', () => {
    after({ type: 'home-advertised', home: 'h' });
    after(leased('l1', 'h', false, 'w-1'));
    after({ type: 'inputs-ready', lease: 'l1' });
    expect(types(after({ type: 'cancelled', home: 'h', lease: 'l1' }))).toEqual(['abort']);
    expect(types(after({ type: 'aborted', lease: 'l1' }))).toEqual(['steal']);
  });

  it('never builds a lease whose cancellation came first, nor one twice', () => {
    after({ type: 'cancelled', home: 'h', lease: 'l1' });
    expect(after(leased('l1'))).toEqual([]);
    after(leased('l2'));
    after({ type: 'inputs-failed', lease: 'l2', message: 'gone' });
    expect(after(leased('l2'))).toEqual([]);
  });

  it('returns a lease whose inputs do not come', () => {
    after(leased('l1'));
    expect(after({ type: 'inputs-failed', lease: 'l1', message: 'nobody has zlib' })).toEqual([
      { type: 'returned', home: 'h', lease: 'l1', attempt: 1, reason: 'machine', detail: 'nobody has zlib' },
    ]);
  });

  it('keeps a running build for a home that may come back, drops the rest at once', () => {
    after(leased('running'));
    after({ type: 'inputs-ready', lease: 'running' });
    after(leased('fetching'));
    expect(after({ type: 'home-down', home: 'h' })).toEqual([
      { type: 'abort', lease: 'fetching', building: false, reason: 'its home is gone' },
    ]);
    now = 19_999;
    expect(types(after({ type: 'tick' }))).toEqual([]);
    now = 20_000;
    expect(types(after({ type: 'tick' }))).toEqual(['abort']);
  });

  it('lets the build go on when its home is back in time', () => {
    after(leased('running'));
    after({ type: 'inputs-ready', lease: 'running' });
    after({ type: 'home-down', home: 'h' });
    now = 10_000;
    after({ type: 'home-up', home: 'h' });
    now = 60_000;
    expect(types(after({ type: 'tick' }))).toEqual(['heartbeat']);
  });

  it('asks a home that is back at once whether it still wants what it had asked for', () => {
    after(leased('running'));
    after({ type: 'inputs-ready', lease: 'running' });
    expect(types(after({ type: 'home-up', home: 'other' }))).toEqual([]);
    after({ type: 'home-down', home: 'h' });
    now = 1;
    expect(after({ type: 'home-up', home: 'h' })).toContainEqual({
      type: 'heartbeat',
      home: 'h',
      leases: [{ lease: 'running', attempt: 1 }],
    });
  });

  it('listens to a home that began anew: its news are numbered from the start', () => {
    after({ type: 'home-advertised', home: 'h', sequence: 7 });
    after({ type: 'home-down', home: 'h' });
    expect(types(after({ type: 'home-advertised', home: 'h', sequence: 0 }))).toContain('steal');
  });

  it('tells each home about its own leases while it has any', () => {
    after(leased('l1', 'h'));
    after(leased('l2', 'other'));
    now = 3_000;
    expect(after({ type: 'tick' })).toEqual([
      { type: 'heartbeat', home: 'h', leases: [{ lease: 'l1', attempt: 1 }] },
      { type: 'heartbeat', home: 'other', leases: [{ lease: 'l2', attempt: 1 }] },
    ]);
  });

  it('finishes what runs when its slots shrink, and parks no more than the new number', () => {
    after({ type: 'home-advertised', home: 'h' });
    after(leased('l1', 'h', false, 'w-1'));
    after({ type: 'inputs-ready', lease: 'l1' });
    expect(types(after({ type: 'capacity', capacity: capacity(1) }))).toEqual(['unsteal']);
    expect(types(after({ type: 'capacity', capacity: capacity(0) }))).toEqual(['unsteal']);
    expect(worker.leases.size).toBe(1);
  });

  it('believes the newer of two advertisements, whichever comes first', () => {
    after({ type: 'home-advertised', home: 'h', sequence: 3 });
    expect(after({ type: 'home-withdrawn', home: 'h', sequence: 2 })).toEqual([]);
    expect(types(after({ type: 'home-withdrawn', home: 'h', sequence: 4 }))).toEqual([
      'unsteal',
      'unsteal',
      'unsteal',
    ]);
  });
});

function capacity(slots: number): WorkerCapacity {
  return { slots, slotsForOthers: slots, cores: slots, reservedSlots: 0 };
}
