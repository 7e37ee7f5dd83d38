import { ClosureLab } from '../closure-lab.ts';
import { type Figure, figure } from '../figure.ts';
import { dropPaths, makeLargePath } from '../made-paths.ts';
import { cableBytes } from '../network-usage.ts';
import type { Scenario } from './scenario.ts';

const MIB = 256;
const RECEIVERS = 5;
const LINK = 'rate 200mbit';
const REQUIRED_TIME = 1.6;
const REQUIRED_BYTES = 1.5;
/** Each takes half a minute, and what is measured is a wait for a slow cable. */
const MAX_RUNS = 2;

/** Many want at once what one host with a slow cable has: they feed each other. */
export const closureSwarm: Scenario = {
  name: 'closure-swarm',
  shape: 'own',
  title: `one path of ${MIB} MiB, a source with ${LINK}, ${RECEIVERS} receivers at once`,
  async measure({ runs, told }): Promise<Figure[]> {
    await using lab = await ClosureLab.up(1 + RECEIVERS);
    const { source } = lab;
    const receivers = lab.lab.hosts.filter((host) => host !== source);
    await source.net(LINK);
    const one: number[] = [];
    const all: number[] = [];
    const sent: number[] = [];
    for (let run = 0; run < Math.min(runs, MAX_RUNS); run++) {
      one.push((await fetchBy([receivers[run % RECEIVERS]!])).seconds);
      told('one receiver', one.at(-1)!);
      const swarm = await fetchBy(receivers);
      all.push(swarm.seconds / one.at(-1)!);
      sent.push(swarm.sent / (MIB * 2 ** 20));
      told(`${RECEIVERS} receivers`, swarm.seconds);
    }
    const title = `${MIB} MiB to ${RECEIVERS} at once`;
    return [
      figure('closure-swarm', `${title}, of the time for one`, 'x', all, {
        required: REQUIRED_TIME,
        bound: 1,
      }),
      figure('closure-swarm-sent', `${title}, sent by the source, of the path's size`, 'x', sent, {
        required: REQUIRED_BYTES,
        bound: 1,
      }),
      figure('closure-swarm-one', `${MIB} MiB to one`, 's', one),
    ];

    async function fetchBy(hosts: typeof receivers): Promise<{ seconds: number; sent: number }> {
      const path = await makeLargePath([source], MIB);
      const before = cableBytes(source).sent;
      const started = performance.now();
      await Promise.all(hosts.map((host) => lab.warm(host, path)));
      const seconds = (performance.now() - started) / 1000;
      const after = cableBytes(source).sent;
      for (const host of [source, ...hosts]) await dropPaths(host, [path]);
      return { seconds, sent: after - before };
    }
  },
};
