import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from '@mesh/lab';
import type { BenchLab } from '../bench-lab.ts';
import { type Figure, figure } from '../figure.ts';
import { processorSeconds, residentBytes } from '../process-usage.ts';
import type { Scenario } from './scenario.ts';

const REQUIRED_MIB = 150;
const REQUIRED_PERCENT = 1;
/** After start or work: connections, discovery and the collector of garbage come to rest. */
const SETTLE_MS = 15_000;
const WATCH_MS = 20_000;
const MIB = 1024 * 1024;

/** Agents that have just met, with three members connected and nothing to do. */
export const idle: Scenario = {
  name: 'idle',
  title: 'idle agents',
  async measure(bench) {
    const { memory, processor } = await watch(bench);
    return [
      figure('idle-memory', 'idle agent, resident memory', 'MiB', memory, { required: REQUIRED_MIB }),
      figure('idle-cpu', 'idle agent, share of one core', '%', processor, { required: REQUIRED_PERCENT }),
    ];
  },
};

/** The same after all the builds of this benchmark, for information: garbage of the work may not be back yet. */
export const idleAfter: Scenario = {
  name: 'idle-after',
  title: 'idle agents after all builds',
  async measure(bench): Promise<Figure[]> {
    const { memory, processor } = await watch(bench);
    return [
      figure('idle-after-memory', 'idle agent after the builds, resident memory', 'MiB', memory),
      figure('idle-after-cpu', 'idle agent after the builds, share of one core', '%', processor),
    ];
  },
};

/** One value for each host's agent. */
async function watch({ lab, told }: BenchLab): Promise<{ memory: number[]; processor: number[] }> {
  await sleep(SETTLE_MS);
  const pids = lab.hosts.map(agentPid);
  const before = pids.map(processorSeconds);
  const started = performance.now();
  await sleep(WATCH_MS);
  const seconds = (performance.now() - started) / 1000;
  const processor = pids.map((pid, index) => (100 * (processorSeconds(pid) - before[index]!)) / seconds);
  told('watched', seconds);
  return { memory: pids.map((pid) => residentBytes(pid) / MIB), processor };
}

/** The one process of a host that is `mesh agent`, under whatever Node runs it. */
function agentPid(host: Host): number {
  const agent = host.processes().find(({ args }) => args.includes('agent') && args[0]?.endsWith('node'));
  if (agent === undefined) throw new Error(`No agent runs on ${host.name}.`);
  return agent.pid;
}
