import type { ClientTalk, TalkField } from '@mesh/nix';
import type { JobEvent } from '@mesh/wire';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JobActivities } from './job-activities.ts';

type Said =
  | { say: 'start'; id: number; type: number; text: string; fields: readonly TalkField[] }
  | { say: 'result'; id: number; type: number; fields: readonly TalkField[] }
  | { say: 'stop'; id: number };

/** Writes down what is said. */
class Listener implements ClientTalk {
  readonly said: Said[] = [];
  readonly lines: string[] = [];
  readonly signal = new AbortController().signal;
  #last = 0;
  startActivity({ type, text, fields = [] }: Parameters<ClientTalk['startActivity']>[0]): number {
    this.#last += 1;
    this.said.push({ say: 'start', id: this.#last, type, text, fields });
    return this.#last;
  }
  result(id: number, type: number, fields: readonly TalkField[]): void {
    this.said.push({ say: 'result', id, type, fields });
  }
  stopActivity(id: number): void {
    this.said.push({ say: 'stop', id });
  }
  line(text: string): void {
    this.lines.push(text);
  }
}

const drv = (name: string): string => `/nix/store/${'0'.repeat(32)}-${name}.drv`;
const about = (name: string) => ({ atMs: 0, drvPath: drv(name), name });
const started = (name: string, peer: string): JobEvent => ({ type: 'started', ...about(name), peer });
const finished = (
  name: string,
  outcome: 'built' | 'failed' | 'skipped' | 'cancelled' | 'valid',
): JobEvent => ({ type: 'finished', ...about(name), peer: null, outcome, durationMs: 1 });
const planned = (toBuild: number): JobEvent => ({ type: 'planned', atMs: 0, toBuild, toFetch: 0, valid: 0 });
const jobStarted: JobEvent = { type: 'job-started', atMs: 0, job: '1', home: 'ruby' };

function tell(...events: JobEvent[]): Listener {
  const listener = new Listener();
  const activities = new JobActivities(listener);
  for (const event of events) activities.hear(event);
  activities.end();
  return listener;
}

const builds = ({ said }: Listener) => said.filter((one) => one.say === 'start' && one.type === 105);

describe('a job in the words of Nix', () => {
  it('names the machine of a build, and none for this one', () => {
    expect(builds(tell(jobStarted, planned(2), started('a', 'kana'), started('b', 'ruby')))).toMatchObject([
      { text: `building '${drv('a')}' on 'kana'`, fields: [drv('a'), 'kana', 1, 1] },
      { text: `building '${drv('b')}'`, fields: [drv('b'), '', 1, 1] },
    ]);
  });

  it('gives lines and phases to the build they are of', () => {
    const { said } = tell(
      jobStarted,
      planned(1),
      started('a', 'kana'),
      { type: 'log', ...about('a'), lines: ['one', 'two'] },
      { type: 'phase', ...about('a'), phase: 'buildPhase' },
    );
    const id = said.find((one) => one.say === 'start' && one.type === 105)!.id;
    expect(said.filter((one) => one.say === 'result' && one.id === id)).toEqual([
      { say: 'result', id, type: 101, fields: ['one'] },
      { say: 'result', id, type: 101, fields: ['two'] },
      { say: 'result', id, type: 104, fields: ['buildPhase'] },
    ]);
  });

  it('counts an end before it tells of it, as a daemon does', () => {
    const { said } = tell(jobStarted, planned(1), started('a', 'kana'), finished('a', 'built'));
    expect(said.map((one) => (one.say === 'result' ? one.fields.join() : `${one.say} ${one.id}`))).toEqual([
      ...['start 1', '0,1,0,0', 'start 2', '0,1,1,0'],
      ...['1,1,0,0', 'stop 2', 'stop 1'],
    ]);
  });

  it('counts: done, expected, running, failed', () => {
    const { said } = tell(
      jobStarted,
      planned(3),
      started('a', 'kana'),
      finished('a', 'built'),
      started('b', 'kana'),
      finished('b', 'failed'),
      finished('c', 'skipped'),
    );
    const counts = said.filter((one) => one.say === 'result' && one.type === 105);
    expect(counts.map((one) => 'fields' in one && one.fields)).toEqual([
      [0, 3, 0, 0],
      [0, 3, 1, 0],
      [1, 3, 0, 0],
      [1, 3, 1, 0],
      [1, 3, 0, 1],
      [1, 2, 0, 1],
    ]);
  });

  it('is one build when two machines race, and goes on when the first gives up', () => {
    const talk = tell(jobStarted, planned(1), started('a', 'kana'), started('a', 'aqua'), {
      type: 'requeued',
      ...about('a'),
      peer: 'kana',
      reason: 'gone',
    });
    expect(builds(talk)).toMatchObject([
      { fields: [drv('a'), 'kana', 1, 1] },
      { fields: [drv('a'), 'aqua', 1, 1] },
    ]);
  });

  it('ends each activity once, whatever happens in whatever order', () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const peer = fc.constantFrom('ruby', 'kana', 'aqua');
    const event: fc.Arbitrary<JobEvent> = fc.oneof(
      fc.tuple(name, peer).map(([one, where]) => started(one, where)),
      fc
        .tuple(name, fc.constantFrom('built', 'failed', 'skipped', 'cancelled', 'valid'))
        .map(([one, how]) => finished(one, how)),
      fc.nat(5).map(planned),
      name.map((one): JobEvent => ({ type: 'log', ...about(one), lines: ['line'] })),
      fc
        .tuple(name, peer)
        .map(([one, where]): JobEvent => ({ type: 'returned', ...about(one), peer: where, reason: 'busy' })),
      fc.boolean().map((done): JobEvent => ({ type: 'result-fetch', atMs: 0, paths: 3, bytes: 9, done })),
    );
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const running = new Set<number>();
        for (const one of tell(jobStarted, ...events).said) {
          if (one.say === 'start') running.add(one.id);
          else expect(running.has(one.id)).toBe(true);
          if (one.say === 'stop') running.delete(one.id);
        }
        expect(running.size).toBe(0);
      }),
    );
  });
});
