import { beforeEach, describe, expect, it } from 'vitest';
import { Job } from '../job/job.ts';
import type { PlannedDerivation } from '../job/planner.ts';
import { Holders } from './holders.ts';
import { noteLost } from './lost-inputs.ts';
import { Plans } from './plans.ts';
import { Runs } from './runs.ts';

const HELD = '/nix/store/held';
const CONSUMER = '/nix/store/00000000000000000000000000000000-consumer.drv';

function planned(drvPath: string, outputs: string[]): PlannedDerivation {
  const node = {
    drvPath,
    name: 'x',
    system: 'x86_64-linux',
    requiredFeatures: [],
    dependencies: [],
    outputs,
  };
  return { node: { ...node, place: 'anywhere', predictedMs: 1 } } as unknown as PlannedDerivation;
}

let home: { holders: Holders; plans: Plans; runs: Runs };
beforeEach(() => {
  home = { holders: new Holders(), plans: new Plans(), runs: new Runs() };
  for (const id of ['job-1', 'job-2']) {
    const job = new Job({
      id,
      options: { local: false, keepGoing: false, dryRun: false, logs: false },
      home: 'h1',
      nameOf: (peerId) => peerId,
      nowMs: () => 0,
      wallMs: () => 0,
    });
    const { run } = home.runs.begin(id, job, { keepGoing: false });
    run.held.add(HELD);
    if (id === 'job-1') job.planned([planned(CONSUMER, [])], 0, 0);
  }
  home.plans.add([planned('/nix/store/producer.drv', ['/nix/store/made'])]);
  home.holders.add(HELD, 'h2');
  home.holders.add('/nix/store/made', 'h3');
});

describe('an input that no member could give', () => {
  it('is built again where a derivation of the home makes it', () => {
    expect(noteLost(CONSUMER, ['/nix/store/made'], home)).toEqual({
      rebuild: ['/nix/store/producer.drv'],
      replan: [],
    });
    expect(home.holders.of('/nix/store/made')).toEqual([]);
  });

  it('makes the jobs that wait for it plan anew, without who was said to have it', () => {
    expect(noteLost(CONSUMER, [HELD], home)).toEqual({ rebuild: [], replan: ['job-1'] });
    expect(home.runs.get('job-1')?.lost).toEqual(new Map([[HELD, ['h2']]]));
    expect(home.runs.get('job-2')?.lost.size).toBe(0);
  });

  it('that nobody knows of changes nothing but whom it is asked of', () => {
    expect(noteLost(CONSUMER, ['/nix/store/other'], home)).toEqual({ rebuild: [], replan: [] });
  });
});
