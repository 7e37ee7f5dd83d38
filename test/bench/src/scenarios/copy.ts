import type { Host } from '@mesh/lab';
import type { BenchLab } from '../bench-lab.ts';
import { contest } from '../contest.ts';
import { figure } from '../figure.ts';
import { workloadFile } from '../workload.ts';
import type { Scenario } from './scenario.ts';

const MIB = 256;
const BUILDER = 'h2';

/** One large path from one host to another: the mesh brings a result home, `nix copy` fetches the same over SSH. */
export const copy: Scenario = {
  name: 'copy',
  title: `one path of ${MIB} MiB from ${BUILDER} home`,
  async measure(bench) {
    const workload = { file: workloadFile('big.nix'), attribute: 'big', args: ['--arg', 'mb', String(MIB)] };
    const builder = bench.lab.host(BUILDER);
    const seconds = await contest(
      [
        {
          name: 'mesh',
          run: async (salt) => {
            const { report } = await bench.build(workload, salt, ['--on', BUILDER]);
            const finishedMs = Math.max(
              ...report.derivations.map((derivation) => derivation.finishedMs ?? 0),
            );
            return (report.wallMs - finishedMs) / 1000;
          },
        },
        { name: 'ssh-ng', run: (salt) => nixCopy(bench, builder, salt) },
      ],
      bench.runs,
      bench.salt,
      bench.told,
    );
    const rivals = { 'nix copy, ssh-ng': seconds['ssh-ng'] };
    return [figure('copy', `${MIB} MiB path brought home`, 's', seconds.mesh, { rivals })];

    async function nixCopy({ home }: BenchLab, from: Host, salt: string): Promise<number> {
      const args = ['-A', workload.attribute, ...workload.args, '--argstr', 'salt', salt, '--no-out-link'];
      const path = (await from.exec(['nix-build', workload.file, ...args])).stdout.trim();
      const started = performance.now();
      await home.exec(['nix', 'copy', '--no-check-sigs', '--from', `ssh-ng://${from.name}`, path]);
      return (performance.now() - started) / 1000;
    }
  },
};
