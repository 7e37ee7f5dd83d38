import { kill } from 'node:process';
import { type Host, until } from '@mesh/lab';
import { ClosureLab, isValid } from '../closure-lab.ts';
import { BenchError } from '../errors.ts';
import { type Figure, figure } from '../figure.ts';
import { dropPaths, makeLargePath } from '../made-paths.ts';
import { cableBytes } from '../network-usage.ts';
import type { Scenario } from './scenario.ts';

const MIB = 256;
const BYTES = MIB * 2 ** 20;
/** Of the receiver: one source fills it as well as two do. */
const LINK = 'rate 200mbit';
const REQUIRED_TIME = 1.3;
const REQUIRED_BYTES = 1.05;
/** Each takes most of a minute, and what is measured is a wait for a slow cable. */
const MAX_RUNS = 2;
const TIMEOUT_MS = 120_000;

type Misfortune = (lab: ClosureLab, host: Host) => Promise<void>;

const MISFORTUNES: Readonly<Record<'process' | 'plug', Misfortune>> = {
  process: async (lab, host) => void kill(lab.agentPid(host), 'SIGKILL'),
  plug: (_lab, host) => host.kill(),
};

/** Two have it, and the one that gave most is lost half-way: its process, then the whole machine. */
export const closureKilled: Scenario = {
  name: 'closure-killed',
  shape: 'own',
  title: `one path of ${MIB} MiB from two hosts, one of them lost half-way`,
  async measure({ runs, told }): Promise<Figure[]> {
    await using lab = await ClosureLab.up(3);
    const [to, ...holders] = lab.lab.hosts.toReversed() as [Host, Host, Host];
    await to.net(LINK);
    const figures: Figure[] = [];
    const undisturbed: { seconds: number; received: number }[] = [];
    const times: Record<keyof typeof MISFORTUNES, number[]> = { process: [], plug: [] };
    const bytes: Record<keyof typeof MISFORTUNES, number[]> = { process: [], plug: [] };
    for (let run = 0; run < Math.min(runs, MAX_RUNS); run++) {
      const calm = await fetch();
      undisturbed.push(calm);
      told('undisturbed', calm.seconds);
      for (const name of ['process', 'plug'] as const) {
        const { seconds, received } = await fetch(MISFORTUNES[name]);
        times[name].push(seconds / calm.seconds);
        bytes[name].push(received / calm.received);
        told(`${name} killed`, seconds);
      }
    }
    for (const [name, what] of [
      ['process', 'agent killed'],
      ['plug', 'plug pulled'],
    ] as const) {
      figures.push(
        figure(`closure-killed-${name}`, `${what} half-way, of the undisturbed time`, 'x', times[name], {
          required: REQUIRED_TIME,
        }),
        figure(
          `closure-killed-${name}-bytes`,
          `${what} half-way, bytes of undisturbed ones`,
          'x',
          bytes[name],
          {
            required: REQUIRED_BYTES,
          },
        ),
      );
    }
    return figures;

    async function fetch(misfortune?: Misfortune): Promise<{ seconds: number; received: number }> {
      const path = await makeLargePath(holders, MIB);
      const before = cableBytes(to).received;
      const sentBefore = new Map(holders.map((host) => [host, cableBytes(host).sent]));
      const sentBy = (host: Host) => cableBytes(host).sent - sentBefore.get(host)!;
      const started = performance.now();
      const fetched = lab.warm(to, path);
      // Waited for below; it may fail before that.
      fetched.catch(() => undefined);
      if (misfortune !== undefined) {
        const half = () => (cableBytes(to).received - before > BYTES / 2 ? true : undefined);
        await Promise.race([until('half of the bytes', TIMEOUT_MS, half), fetched]);
        if (await isValid(to, path))
          throw new BenchError('BENCH_NOT_COPIED', 'The path came before half of it did.');
        const victim = holders.toSorted((a, b) => sentBy(b) - sentBy(a))[0]!;
        await misfortune(lab, victim);
      }
      await fetched;
      const seconds = (performance.now() - started) / 1000;
      const received = cableBytes(to).received - before;
      for (const host of holders) {
        await host.boot();
        if (!host.processes().some(({ args }) => args.includes('agent'))) await lab.mesh.startAgent(host);
      }
      await lab.mesh.untilConnected();
      for (const host of lab.lab.hosts) await dropPaths(host, [path]);
      return { seconds, received };
    }
  },
};
