import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { repositoryRoot } from '@mesh/lab';
import { contest } from '../contest.ts';
import { figure } from '../figure.ts';
import { RIVALS } from '../rival.ts';
import { median } from '../statistics.ts';
import type { Scenario } from './scenario.ts';

const SCALE = '0.002';
const GRAPH = '/root/hello.json';
const REQUIRED_TIMES_BOUND = 1.3;

/** A real package's graph down to its bootstrap: long chains with work beside them. */
export const hello: Scenario = {
  name: 'hello',
  title: `the recorded graph of hello, 228 derivations at scale ${SCALE}`,
  async measure(bench) {
    const dags = join(repositoryRoot, 'test/dags');
    await bench.home.writeFile(GRAPH, gunzipSync(readFileSync(join(dags, 'hello.json.gz'))));
    const workload = {
      file: join(dags, 'dag.nix'),
      args: ['--argstr', 'file', GRAPH, '--argstr', 'scale', SCALE],
    };
    const bounds: number[] = [];
    const seconds = await contest(
      [
        { name: 'stock', run: (salt) => bench.nix('stock', workload, salt) },
        {
          name: 'mesh',
          run: async (salt) => {
            const { seconds, report } = await bench.build(workload, salt);
            bounds.push(report.lowerBoundMs / 1000);
            return seconds;
          },
        },
        { name: 'tuned', run: (salt) => bench.nix('tuned', workload, salt) },
        { name: 'local', run: (salt) => bench.nix('local', workload, salt) },
      ],
      bench.runs,
      bench.salt,
      bench.told,
    );
    const bound = median(bounds);
    const timesBound = (runs: readonly number[]) => runs.map((run) => run / bound);
    const { mesh, local, stock, tuned } = seconds;
    const times = mesh.map((run, index) => run / bounds[index]!);
    const required = REQUIRED_TIMES_BOUND;
    return [
      figure('hello', 'hello, times its lower bound', 'x', times, {
        required,
        bound: 1,
        rivals: {
          [RIVALS.local]: timesBound(local),
          [RIVALS.stock]: timesBound(stock),
          [RIVALS.tuned]: timesBound(tuned),
        },
      }),
      figure('hello-wall', 'hello, from start to end', 's', mesh, {
        bound,
        rivals: { [RIVALS.local]: local, [RIVALS.stock]: stock, [RIVALS.tuned]: tuned },
      }),
    ];
  },
};
