import { beforeEach, describe, expect, it } from 'vitest';
import { WorkerScenario } from './worker-scenario.ts';

let worker: WorkerScenario;

const types = (effects: readonly { type: string }[]) => effects.map((effect) => effect.type);

beforeEach(() => {
  worker = new WorkerScenario({ slots: 1, aheadSlots: 1 });
  worker.after({ type: 'home-advertised', home: 'h' });
  worker.building('first', { request: 'w-1' });
});

describe('a build that has ended, whose outputs are still moved', () => {
  it('leaves its slot to what was sent ahead, and tells its result when they are there', () => {
    worker.leased('second', { ahead: true, request: 'w-2' });
    expect(types(worker.ready('second'))).toEqual([]);
    expect(worker.after({ type: 'delivering', lease: 'first' })).toMatchObject([
      { type: 'build', lease: 'second' },
      { type: 'started', lease: 'second' },
      { type: 'steal', ahead: true },
    ]);
    expect(worker.built('first')).toMatchObject([{ type: 'result', lease: 'first' }]);
  });

  it('leaves its slot to others, but does not count as something that waits for one', () => {
    expect(worker.after({ type: 'delivering', lease: 'first' })).toMatchObject([
      { type: 'steal', ahead: false },
    ]);
    expect(worker.parkedAt('h')).toBe(1);
  });

  it('is killed like any other, and its lease over when that is done', () => {
    worker.after({ type: 'delivering', lease: 'first' });
    const [abort] = worker.after({ type: 'cancelled', home: 'h', lease: 'first' });
    expect(abort).toMatchObject({ type: 'abort', lease: 'first', building: true });
    expect(worker.built('first')).toEqual([]);
    expect(worker.state.leases.size).toBe(0);
  });

  it('is not stopped at once when its home is gone', () => {
    worker.after({ type: 'delivering', lease: 'first' });
    expect(types(worker.after({ type: 'home-down', home: 'h' }))).toEqual([]);
    worker.now = worker.state.homeGraceMs;
    expect(types(worker.after({ type: 'tick' }))).toContain('abort');
  });
});
