import { describe, expect, it } from 'vitest';
import { returned, WorkerScenario } from './worker-scenario.ts';

const types = (effects: readonly { type: string }[]) => effects.map(({ type }) => type);

function chainOf(...links: string[]): WorkerScenario {
  const worker = new WorkerScenario({ slots: 1 });
  worker.building(links[0]!);
  for (const [i, link] of links.slice(1).entries()) worker.leased(link, { follows: links[i]! });
  return worker;
}

describe('a chain of leases', () => {
  it('takes one slot, one link after another, and fetches for a link only in its turn', () => {
    const worker = new WorkerScenario({ slots: 1 });
    worker.building('a');
    expect(worker.leased('b', { follows: 'a' })).toEqual([]);
    expect(worker.leased('c', { follows: 'b' })).toEqual([]);
    expect(types(worker.built('a'))).toEqual(['result', 'fetch']);
    expect(types(worker.ready('b'))).toEqual(['build', 'started']);
    expect(types(worker.built('b'))).toEqual(['result', 'fetch']);
    expect(types(worker.ready('c'))).toEqual(['build', 'started']);
  });

  it('keeps its slot before a lease that waits ahead, and leaves the ahead slots to others', () => {
    const worker = chainOf('a', 'b');
    expect(types(worker.building('ahead', { ahead: true }))).toEqual(['fetch']);
    expect(types(worker.built('a'))).toEqual(['result', 'fetch']);
    expect(worker.state.leases.get('b')?.inSlot).toBe(true);
    expect(worker.state.leases.get('ahead')?.phase).toBe('waiting');
  });

  it('is given back from the link after a failed one on', () => {
    const worker = chainOf('a', 'b', 'c');
    const outcome = { type: 'failed' as const, message: 'exit code 1' };
    const effects = worker.after({ type: 'build-finished', lease: 'a', outcome });
    expect(returned(effects)).toEqual([
      { lease: 'b', reason: 'revoked' },
      { lease: 'c', reason: 'revoked' },
    ]);
    expect(worker.state.leases.size).toBe(0);
  });

  it('is given back when a link is cancelled, returned or revoked', () => {
    for (const end of ['cancelled', 'revoke'] as const) {
      const worker = chainOf('a', 'b', 'c');
      const effects = worker.after({ type: end, home: 'h', lease: 'b' });
      expect(returned(effects).filter(({ lease }) => lease === 'c')).toEqual([
        { lease: 'c', reason: 'revoked' },
      ]);
      expect([...worker.state.leases.keys()]).toEqual(['a']);
    }
    const worker = chainOf('a', 'b');
    worker.built('a');
    worker.leased('c', { follows: 'b' });
    const effects = worker.after({ type: 'inputs-failed', lease: 'b', message: 'gone' });
    expect(returned(effects)).toEqual([
      { lease: 'b', reason: 'machine' },
      { lease: 'c', reason: 'revoked' },
    ]);
  });

  it('does not outlive the build that is being killed', () => {
    const worker = chainOf('a', 'b');
    expect(returned(worker.after({ type: 'cancelled', home: 'h', lease: 'a' }))).toEqual([
      { lease: 'b', reason: 'revoked' },
    ]);
    expect(returned(worker.leased('late', { follows: 'a' }))).toEqual([{ lease: 'late', reason: 'busy' }]);
    worker.after({ type: 'aborted', lease: 'a' });
    expect(returned(worker.leased('later', { follows: 'a' }))).toEqual([
      { lease: 'later', reason: 'revoked' },
    ]);
  });

  it('that comes after its first link was built is an ordinary lease', () => {
    const worker = chainOf('a');
    worker.built('a');
    expect(types(worker.leased('b', { follows: 'a' }))).toEqual(['fetch']);
    expect(worker.state.leases.get('b')?.inSlot).toBe(true);
  });

  it('follows leases of its own home only', () => {
    const worker = chainOf('a');
    expect(returned(worker.leased('b', { home: 'other', follows: 'a' }))).toEqual([
      { lease: 'b', reason: 'busy' },
    ]);
  });

  it('is told to its home with every heartbeat', () => {
    const worker = chainOf('a', 'b');
    worker.now = 3_000;
    expect(worker.after({ type: 'tick' })).toEqual([
      {
        type: 'heartbeat',
        home: 'h',
        leases: [
          { lease: 'a', attempt: 1 },
          { lease: 'b', attempt: 1 },
        ],
      },
    ]);
  });

  it('goes when its home does, but for what builds', () => {
    const worker = chainOf('a', 'b', 'c');
    worker.after({ type: 'home-down', home: 'h' });
    expect([...worker.state.leases.keys()]).toEqual(['a']);
  });
});
