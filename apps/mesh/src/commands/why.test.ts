import type { ControlResult, WhyView } from '@mesh/wire';
import { describe, expect, it } from 'vitest';
import { createStyle } from '../render/style.ts';
import { drv } from '../testing/recorded-job.ts';
import { whyText } from './why.ts';

const PLAIN = createStyle(false);

const view = (changes: Partial<WhyView>): WhyView => ({
  drvPath: drv('zlib-1.3'),
  name: 'zlib-1.3',
  state: 'built',
  sentence: 'h2 built it in 3.2 s.',
  readyMs: 10,
  finishedMs: 3_300,
  predictedMs: 3_000,
  predictedFrom: 'name',
  waitsFor: [],
  waitsForCount: 0,
  attempts: [],
  ...changes,
});

const answer = (...derivations: WhyView[]): ControlResult<'why'> => ({
  job: 'job-1',
  state: 'built',
  wallMs: 4_300,
  derivations,
  more: 0,
});

const attempt: WhyView['attempts'][number] = {
  peer: 'h2',
  attempt: 1,
  race: false,
  cores: 4,
  expectedMs: 3_100,
  leasedMs: 20,
  fetchedMs: 60,
  startedMs: 100,
  endedMs: 3_300,
  outcome: 'won',
  why: 'the longest of 3 ready; ends soonest on h2',
};

describe('mesh why', () => {
  it('says where it was built, what was predicted, and of every attempt why it went there and how long it took', () => {
    expect(whyText(answer(view({ attempts: [attempt] })), PLAIN).split('\n')).toEqual([
      'zlib-1.3: built (job job-1)',
      `  ${drv('zlib-1.3')}`,
      '  h2 built it in 3.2 s.',
      '  Predicted: 3.0 s on an ordinary machine, from builds of this name.',
      '',
      '  h2, attempt 1, 4 cores: won',
      '    the longest of 3 ready; ends soonest on h2',
      '    Times: given to it after 0.0 s, inputs there after 0.0 s, begun after 0.0 s,',
      '    ended after 3.2 s, expected 3.1 s.',
    ]);
  });

  it('shows both runners of a race, and why the loser lost', () => {
    const lost = {
      ...attempt,
      peer: 'h3',
      attempt: 2,
      race: true,
      outcome: 'lost',
      detail: 'h2 was first',
    } as const;
    const text = whyText(answer(view({ attempts: [attempt, lost] })), PLAIN);
    expect(text).toContain('  h3, as a race, 4 cores: lost\n');
    expect(text).toContain('    It ended: h2 was first\n');
  });

  it('names what it waits for', () => {
    const waiting = view({
      state: 'waiting',
      sentence: 'It waits for 12 derivations it needs.',
      predictedFrom: 'cold',
      waitsFor: [{ drvPath: drv('gcc-14'), name: 'gcc-14', state: 'building' }],
      waitsForCount: 12,
    });
    expect(whyText(answer(waiting), PLAIN).split('\n').slice(2)).toEqual([
      '  It waits for 12 derivations it needs.',
      '    gcc-14  building',
      '    and 11 more',
      '  Predicted: 3.0 s on an ordinary machine, a guess, because nothing like it was',
      '  built yet.',
    ]);
  });

  it('counts what else has the name', () => {
    expect(whyText({ ...answer(view({}), view({})), more: 3 }, PLAIN)).toMatch(
      /3 more derivations of this name; give a \.drv path\.$/,
    );
  });
});
