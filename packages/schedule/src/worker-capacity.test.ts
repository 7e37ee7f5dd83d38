import { describe, expect, it } from 'vitest';
import { coresGiven, returned, WorkerScenario } from './worker-scenario.ts';

const GIB = 2 ** 30;
const offers = (slots: number, more = {}) => ({
  slots,
  capacity: { slots, slotsForOthers: slots, cores: slots, reservedSlots: 0, ...more },
});

describe('cores', () => {
  it('gives a build what its home wishes, as far as other builds leave any', () => {
    const worker = new WorkerScenario(offers(4));
    expect(coresGiven(worker.building('a', { cores: 3 }))).toEqual({ a: 3 });
    expect(coresGiven(worker.building('b', { cores: 3 }))).toEqual({ b: 1 });
  });

  it('keeps one for a lease that still fetches in a slot', () => {
    const worker = new WorkerScenario(offers(4));
    worker.leased('slow');
    expect(coresGiven(worker.building('wide', { cores: 4 }))).toEqual({ wide: 3 });
    expect(coresGiven(worker.ready('slow'))).toEqual({ slow: 1 });
  });

  it('counts a slot without a core left as taken', () => {
    const worker = new WorkerScenario(offers(4));
    worker.after({ type: 'home-advertised', home: 'h' });
    worker.building('wide', { cores: 4 });
    expect(worker.parkedAt('h')).toBe(0);
    expect(returned(worker.leased('next'))).toEqual([{ lease: 'next', reason: 'busy' }]);
    worker.built('wide');
    expect(worker.parkedAt('h')).toBe(4);
  });

  it('gives one each where the owner set more slots than there are cores', () => {
    const worker = new WorkerScenario(offers(3, { cores: 1 }));
    const started = ['a', 'b', 'c'].map((lease) => coresGiven(worker.building(lease, { cores: 4 })));
    expect(started).toEqual([{ a: 1 }, { b: 1 }, { c: 1 }]);
  });

  it('keeps those of a killed build until its process is gone', () => {
    const worker = new WorkerScenario(offers(2));
    worker.building('wide', { cores: 2 });
    worker.after({ type: 'cancelled', home: 'h', lease: 'wide' });
    expect(returned(worker.leased('next'))).toEqual([{ lease: 'next', reason: 'busy' }]);
    worker.after({ type: 'aborted', lease: 'wide' });
    expect(coresGiven(worker.building('again', { cores: 2 }))).toEqual({ again: 2 });
  });
});

describe('what the owner gives to others', () => {
  it('is a limit on their slots, not on the own ones', () => {
    const worker = new WorkerScenario(offers(3, { slotsForOthers: 1 }));
    worker.building('theirs');
    expect(returned(worker.leased('more', { home: 'other' }))).toEqual([{ lease: 'more', reason: 'busy' }]);
    expect(coresGiven(worker.building('own', { home: 'w' }))).toEqual({ own: 1 });
    expect(coresGiven(worker.building('own2', { home: 'w' }))).toEqual({ own2: 1 });
  });

  it('reaches only the homes it serves, and always the own', () => {
    const worker = new WorkerScenario(offers(2, { homes: ['friend'] }));
    for (const home of ['h', 'friend', 'w']) worker.after({ type: 'home-advertised', home, hungry: false });
    expect(['h', 'friend', 'w'].map((home) => worker.parkedAt(home))).toEqual([0, 2, 2]);
    expect(returned(worker.leased('l1'))).toEqual([{ lease: 'l1', reason: 'busy' }]);
  });

  it('leaves the own home its reserved slots, beyond all there are for as long as others have them', () => {
    const worker = new WorkerScenario(offers(2, { reservedSlots: 1 }));
    worker.building('a', { cores: 2 });
    worker.after({ type: 'home-advertised', home: 'w' });
    expect(worker.parkedAt('w')).toBe(1);
    expect(coresGiven(worker.building('own', { home: 'w', cores: 2 }))).toEqual({ own: 1 });
    expect(returned(worker.leased('own2', { home: 'w' }))).toEqual([{ lease: 'own2', reason: 'busy' }]);
  });

  it('ends at once: what runs goes on, what does not run yet goes back with the reason', () => {
    const worker = new WorkerScenario(offers(2));
    worker.after({ type: 'home-advertised', home: 'h' });
    worker.building('runs');
    worker.leased('fetches');
    worker.leased('ahead', { ahead: true });
    worker.leased('link', { follows: 'runs' });
    const effects = worker.offer({ slotsForOthers: 0, closed: 'Paused by its owner.' });
    expect(returned(effects)).toEqual(
      ['link', 'ahead', 'fetches'].map((lease) => ({ lease, reason: 'busy' })),
    );
    expect(effects).toContainEqual(expect.objectContaining({ detail: 'Paused by its owner.' }));
    expect(worker.parkedAt('h')).toBe(0);
    expect(worker.state.leases.get('runs')?.phase).toBe('building');
    expect(worker.built('runs')).toContainEqual(expect.objectContaining({ type: 'result' }));
  });

  it('may shrink below what runs: nothing is stopped and nothing new begins', () => {
    const worker = new WorkerScenario(offers(3));
    worker.after({ type: 'home-advertised', home: 'h' });
    for (const lease of ['a', 'b', 'c']) worker.building(lease);
    expect(worker.offer({ slots: 1, slotsForOthers: 1 })).toEqual([]);
    worker.built('a');
    worker.built('b');
    expect(worker.parkedAt('h')).toBe(0);
    worker.built('c');
    expect(worker.parkedAt('h')).toBe(1);
  });
});

describe('memory', () => {
  const worker = (freeMemoryBytes: number) => new WorkerScenario(offers(4, { freeMemoryBytes }));

  it('is kept for builds that have not taken theirs yet', () => {
    const w = worker(8 * GIB);
    w.building('a', { memoryBytes: 5 * GIB });
    expect(w.leased('b', { memoryBytes: 4 * GIB })).toContainEqual(
      expect.objectContaining({
        type: 'returned',
        reason: 'busy',
        detail:
          "It is expected to need 4.0 GiB of memory, and of this machine's 3.0 GiB are left beside what builds here.",
      }),
    );
    expect(returned(w.leased('c', { memoryBytes: 3 * GIB }))).toEqual([]);
  });

  it('is no reason where nothing builds: it may try alone', () => {
    expect(returned(worker(GIB).leased('huge', { memoryBytes: 64 * GIB }))).toEqual([]);
  });

  it('that a long-running build took is in the measured figure, and comes back with its end', () => {
    const w = worker(8 * GIB);
    w.building('a', { memoryBytes: 6 * GIB });
    w.building('b', { memoryBytes: 1 * GIB });
    w.now = 20_000;
    w.offer({ freeMemoryBytes: 1 * GIB });
    expect(returned(w.leased('c', { memoryBytes: 2 * GIB }))).toEqual([{ lease: 'c', reason: 'busy' }]);
    w.built('a');
    expect(returned(w.leased('d', { memoryBytes: 7 * GIB }))).toEqual([]);
  });

  it('is asked for again when an ahead lease gets its slot', () => {
    const w = worker(8 * GIB);
    for (const lease of ['a', 'b', 'c', 'd']) w.building(lease, { memoryBytes: 2 * GIB });
    w.building('next', { memoryBytes: 4 * GIB, ahead: true });
    expect(returned(w.built('a'))).toEqual([{ lease: 'next', reason: 'busy' }]);
  });
});
