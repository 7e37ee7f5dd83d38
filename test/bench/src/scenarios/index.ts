import { chain } from './chain.ts';
import { copy } from './copy.ts';
import { dataPlane } from './data-plane.ts';
import { HALF_SPEED } from './half-speed.ts';
import { hello } from './hello.ts';
import { idle, idleAfter } from './idle.ts';
import { join } from './join.ts';
import type { Scenario } from './scenario.ts';
import { wide } from './wide.ts';

/** In the order they run, those of one lab together: what must find agents that have not worked yet comes first, the longest last but one. */
export const SCENARIOS: readonly Scenario[] = [
  ...[idle, join, wide, chain, dataPlane, copy, hello, idleAfter],
  ...HALF_SPEED,
];
