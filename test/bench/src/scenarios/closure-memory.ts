import { setTimeout as sleep } from 'node:timers/promises';
import { ClosureLab } from '../closure-lab.ts';
import { figure } from '../figure.ts';
import { dropPaths, makeLargePath } from '../made-paths.ts';
import { peakResidentBytes, resetPeakResidentBytes, residentBytes } from '../process-usage.ts';
import type { Scenario } from './scenario.ts';

const SIZES_MIB = [100, 1_024, 4_096];
const REQUIRED_MIB = 100;
const MIB = 2 ** 20;
/** Agents that have just started and met are not idle yet. */
const SETTLE_MS = 10_000;

/** What serving and fetching take of memory must not depend on what is served and fetched. Once for each size: a peak is no average. */
export const closureMemory: Scenario = {
  name: 'closure-memory',
  shape: 'own',
  title: `memory of serving and fetching paths of ${SIZES_MIB.join(', ')} MiB`,
  async measure({ told }) {
    await using lab = await ClosureLab.up(2);
    const hosts = lab.lab.hosts;
    const to = lab.lab.host('h2');
    const pids = hosts.map((host) => lab.agentPid(host));
    await sleep(SETTLE_MS);
    const idle = pids.map(residentBytes);
    const peaks: number[][] = [];
    for (const mib of SIZES_MIB) {
      const path = await makeLargePath([lab.source], mib);
      for (const pid of pids) resetPeakResidentBytes(pid);
      const { seconds } = await lab.cost(to, path, () => lab.warm(to, path));
      peaks.push(pids.map((pid, index) => (peakResidentBytes(pid) - idle[index]!) / MIB));
      told(`${mib} MiB`, seconds);
      for (const host of hosts) await dropPaths(host, [path]);
    }
    return SIZES_MIB.flatMap((mib, index) =>
      ['serving', 'fetching'].map((what, end) =>
        figure(
          `closure-memory-${what}-${mib}`,
          `${what} ${mib} MiB, memory above idle`,
          'MiB',
          [peaks[index]![end]!],
          {
            required: REQUIRED_MIB,
          },
        ),
      ),
    );
  },
};
