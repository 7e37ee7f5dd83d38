import { agentless } from './agentless.ts';
import { chain } from './chain.ts';
import { closureKilled } from './closure-killed.ts';
import { closureLarge } from './closure-large.ts';
import { closureMemory } from './closure-memory.ts';
import { closurePresent } from './closure-present.ts';
import { closureSmall } from './closure-small.ts';
import { closureSwarm } from './closure-swarm.ts';
import { copy } from './copy.ts';
import { dataPlane } from './data-plane.ts';
import { gatewayNarinfo } from './gateway-narinfo.ts';
import { HALF_SPEED } from './half-speed.ts';
import { hello } from './hello.ts';
import { idle, idleAfter } from './idle.ts';
import { join } from './join.ts';
import { nixSocketNar, nixSocketPathInfo } from './nix-socket.ts';
import { nixSocketBuild } from './nix-socket-build.ts';
import type { Scenario } from './scenario.ts';
import { wide } from './wide.ts';

/**
 * In the order they run, those of one lab together: what must find agents that have not worked yet comes first, the longest last but one. What has labs of its own
 * runs before all others.
 */
export const SCENARIOS: readonly Scenario[] = [
  ...[idle, join, wide, chain, dataPlane, copy, hello, idleAfter],
  ...HALF_SPEED,
  ...[closureLarge, closureSmall, closurePresent, closureSwarm, closureKilled, closureMemory, gatewayNarinfo],
  agentless,
  ...[nixSocketPathInfo, nixSocketNar, nixSocketBuild],
];
