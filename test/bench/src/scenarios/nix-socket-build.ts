import { Lab, LabMesh } from '@mesh/lab';
import { HOSTS, SLOTS } from '../bench-lab.ts';
import { contest } from '../contest.ts';
import { BenchError } from '../errors.ts';
import { figure } from '../figure.ts';
import { workloadArgs, workloadFile } from '../workload.ts';
import type { Scenario } from './scenario.ts';

const DERIVATIONS = 200;
/** Half a second each: a build where neither evaluation nor builds are next to nothing. */
const BUILD_SECONDS = '0.5';
/** What `nix build` by the agent's socket takes at most, of what `mesh build` takes. */
const REQUIRED = 1.15;
const TIMEOUT_MS = 600_000;

/** The same expression by plain Nix at the agent's socket and by `mesh build`: a link of the outputs is made by both. */
export const nixSocketBuild: Scenario = {
  name: 'nix-socket-build',
  shape: 'own',
  title: `nix build of ${DERIVATIONS} derivations at the agent's socket, beside mesh build`,
  async measure(bench) {
    await using lab = await Lab.up({ hosts: HOSTS, slots: SLOTS });
    await LabMesh.up(lab);
    const [home] = lab.hosts;
    const args = ['--arg', 'n', String(DERIVATIONS - 1), '--argstr', 'seconds', BUILD_SECONDS];
    const workload = { file: workloadFile('wide.nix'), args };
    const timed = (command: readonly string[]) => async (salt: string) => {
      const started = performance.now();
      const all = [...command, '--file', workload.file, ...workloadArgs(workload, salt)];
      const { code, stderr } = await home!.exec(all, { check: false, timeoutMs: TIMEOUT_MS, cwd: '/root' });
      if (code !== 0)
        throw new BenchError('BENCH_BUILD_FAILED', `\`${command.join(' ')}\` ended with ${code}: ${stderr}`);
      return (performance.now() - started) / 1000;
    };
    const { nix, mesh } = await contest(
      [
        { name: 'nix', run: timed(['env', 'NIX_REMOTE=unix:///run/mesh/nix.sock', 'nix', 'build']) },
        { name: 'mesh', run: timed(['mesh', 'build']) },
      ],
      bench.runs,
      bench.salt,
      bench.told,
    );
    const shares = nix.map((took, run) => took / mesh[run]!);
    const title = `nix build of ${DERIVATIONS} derivations at the agent's socket`;
    return [
      figure('nix-socket-build', title, 's', nix, { rivals: { 'mesh build': mesh } }),
      figure('nix-socket-build-share', `${title}, of what mesh build takes`, 'x', shares, {
        required: REQUIRED,
      }),
    ];
  },
};
