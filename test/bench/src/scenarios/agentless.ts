import { Lab, LabMesh } from '@mesh/lab';
import { freshSalt, HOSTS, SLOTS } from '../bench-lab.ts';
import { contest } from '../contest.ts';
import { BenchError } from '../errors.ts';
import { figure } from '../figure.ts';
import { RIVALS, Rival } from '../rival.ts';
import { workloadArgs, workloadFile } from '../workload.ts';
import type { Scenario } from './scenario.ts';

const LEAVES = 24;
/** Half of what tuned Nix takes with the same machines. */
const REQUIRED_OF_TUNED = 0.5;

/** The agent stands on the home alone; the others are lines of a machines file, for it as for Nix. */
export const agentless: Scenario = {
  name: 'agentless',
  title: `${LEAVES} builds of 1 s on ${HOSTS} builders without an agent`,
  shape: 'own',
  async measure(bench) {
    await using lab = await Lab.up({ hosts: HOSTS + 1, slots: SLOTS, sshd: true });
    const [home, ...builders] = lab.hosts;
    const rival = await Rival.setUp(home!, builders, SLOTS);
    await home!.exec(['cp', '/etc/nix/machines-tuned', '/etc/nix/machines']);
    const mesh = await LabMesh.up(lab, { hosts: [home!] });
    const workload = { file: workloadFile('wide.nix'), args: ['--arg', 'n', String(LEAVES)] };
    const { mine, tuned } = await contest(
      [
        {
          name: 'mine',
          run: async (salt) => {
            const started = performance.now();
            const args = ['-f', workload.file, ...workloadArgs(workload, salt)];
            const { code, stderr } = await mesh.build(home!, args, { timeoutMs: 600_000 });
            if (code !== 0)
              throw new BenchError('BENCH_BUILD_FAILED', `\`mesh build\` ended with ${code}: ${stderr}`);
            return (performance.now() - started) / 1000;
          },
        },
        { name: 'tuned', run: (salt) => rival.build('tuned', workload, salt) },
      ],
      bench.runs,
      freshSalt,
      bench.told,
    );
    const ratio = mine.map((seconds, run) => seconds / tuned[run]!);
    return [
      figure('agentless-of-tuned', 'Builders without an agent, of what tuned Nix takes', 'x', ratio, {
        required: REQUIRED_OF_TUNED,
      }),
      figure('agentless', `${LEAVES} x 1 s on ${HOSTS} builders without an agent`, 's', mine, {
        bound: LEAVES / ((HOSTS + 1) * SLOTS),
        rivals: { [RIVALS.tuned]: tuned },
      }),
    ];
  },
};
