import { expect, test } from 'vitest';
import { judge } from './figures.ts';
import type { Summary } from './summary.ts';

const summary = (more: Partial<Summary>): Summary => ({
  graph: 'git',
  mesh: 'lan8',
  policy: 'mesh',
  history: 'warm',
  runs: 1,
  meanRatio: 1,
  worstRatio: 1,
  bestRatio: 1,
  meanWallMs: 100,
  meanBoundMs: 100,
  wastePercent: 0,
  wasteOfBusyPercent: 0,
  idlePercent: 0,
  races: 0,
  gigabytesMoved: 0,
  decisionsPerSecond: 1,
  realSeconds: 1,
  traceHash: '',
  ...more,
});
const met = (summaries: Summary[]) =>
  Object.fromEntries(judge(summaries).map((each) => [each.name, each.met]));
const all = { 'warm-mean': true, 'warm-worst': true, 'cold-mean': true, 'nix-share': true, waste: true };

test('the figures are judged by the worst of all graphs and meshes', () => {
  const cold = { history: 'cold' };
  expect(met([summary({}), summary(cold)])).toEqual(all);
  expect(met([summary({}), summary({ meanRatio: 1.16 })])).toEqual({ ...all, 'warm-mean': false });
  expect(met([summary({ worstRatio: 1.31 })])).toEqual({ ...all, 'warm-worst': false });
  expect(met([summary({ ...cold, meanRatio: 1.34 })])).toEqual(all);
  expect(met([summary({ ...cold, meanRatio: 1.36 })])).toEqual({ ...all, 'cold-mean': false });
  expect(met([summary({ ...cold, wastePercent: 5.1 })])).toEqual({ ...all, waste: false });
});

test('Nix must be beaten by half only where it takes over twice the bound', () => {
  const nix = (meanRatio: number) => summary({ policy: 'nix', meanRatio, meanWallMs: 100 * meanRatio });
  expect(met([summary({ meanWallMs: 110 }), nix(1.9)])).toEqual(all);
  expect(met([summary({ meanWallMs: 100 }), nix(2.1)])).toEqual(all);
  expect(met([summary({ meanWallMs: 110 }), nix(2.1)])).toEqual({ ...all, 'nix-share': false });
});
