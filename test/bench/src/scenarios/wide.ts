import { HOSTS, SLOTS } from '../bench-lab.ts';
import { contest } from '../contest.ts';
import { figure } from '../figure.ts';
import { RIVALS } from '../rival.ts';
import { workloadFile } from '../workload.ts';
import type { Scenario } from './scenario.ts';

const LEAVES = 24;
const REQUIRED_S = 5;

/** Every slot of the mesh can be used; what is lost is lost in handing out. */
export const wide: Scenario = {
  name: 'wide',
  title: `${LEAVES} builds of 1 s, then one that needs them all`,
  async measure(bench) {
    const workload = { file: workloadFile('wide.nix'), args: ['--arg', 'n', String(LEAVES)] };
    const seconds = await contest(
      [
        { name: 'stock', run: (salt) => bench.nix('stock', workload, salt) },
        { name: 'mesh', run: async (salt) => (await bench.build(workload, salt)).seconds },
        { name: 'tuned', run: (salt) => bench.nix('tuned', workload, salt) },
        { name: 'local', run: (salt) => bench.nix('local', workload, salt) },
      ],
      bench.runs,
      bench.salt,
      bench.told,
    );
    const { mesh, local, stock, tuned } = seconds;
    const rivals = { [RIVALS.local]: local, [RIVALS.stock]: stock, [RIVALS.tuned]: tuned };
    const bound = LEAVES / (HOSTS * SLOTS);
    return [figure('wide', `${LEAVES} x 1 s, then one`, 's', mesh, { required: REQUIRED_S, bound, rivals })];
  },
};
