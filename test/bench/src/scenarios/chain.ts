import { contest } from '../contest.ts';
import { figure } from '../figure.ts';
import { RIVALS } from '../rival.ts';
import { median } from '../statistics.ts';
import { workloadFile } from '../workload.ts';
import type { Scenario } from './scenario.ts';

const LENGTH = 31;
const REQUIRED_TIMES_LOCAL = 1.5;
const REQUIRED_AWAY_MS = 60;

/** No two derivations can run at once: what the chain takes is what handing out one derivation costs. */
export const chain: Scenario = {
  name: 'chain',
  title: `a chain of ${LENGTH} trivial derivations, anywhere and away from home`,
  async measure(bench) {
    const workload = { file: workloadFile('chain.nix'), args: ['--arg', 'n', String(LENGTH)] };
    const away = ['--not', bench.home.name];
    const seconds = await contest(
      [
        { name: 'local', run: (salt) => bench.nix('local', workload, salt) },
        { name: 'mesh', run: async (salt) => (await bench.build(workload, salt)).seconds },
        { name: 'stock', run: (salt) => bench.nix('stock', workload, salt) },
        { name: 'away', run: async (salt) => (await bench.build(workload, salt, away)).seconds },
        { name: 'tuned', run: (salt) => bench.nix('tuned', workload, salt) },
      ],
      bench.runs,
      bench.salt,
      bench.told,
    );
    const local = median(seconds.local);
    const timesLocal = (runs: readonly number[]) => runs.map((run) => run / local);
    const eachMs = (runs: readonly number[]) => runs.map((run) => (run * 1000) / LENGTH);
    const { mesh, stock, tuned } = seconds;
    return [
      figure('chain', `chain of ${LENGTH}, times plain nix-build at home`, 'x', timesLocal(mesh), {
        required: REQUIRED_TIMES_LOCAL,
        rivals: { [RIVALS.stock]: timesLocal(stock), [RIVALS.tuned]: timesLocal(tuned) },
      }),
      figure('chain-each', 'chain, each derivation', 'ms', eachMs(mesh), {
        rivals: {
          [RIVALS.local]: eachMs(seconds.local),
          [RIVALS.stock]: eachMs(stock),
          [RIVALS.tuned]: eachMs(tuned),
        },
      }),
      figure('chain-away', 'chain away from home, each derivation', 'ms', eachMs(seconds.away), {
        required: REQUIRED_AWAY_MS,
        rivals: { [RIVALS.stock]: eachMs(stock), [RIVALS.tuned]: eachMs(tuned) },
      }),
    ];
  },
};
