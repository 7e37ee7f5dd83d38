import type { Host } from '@mesh/lab';
import { DaemonClient, DEFAULT_SOCKET_PATH } from '@mesh/nix';
import { ClosureLab } from '../closure-lab.ts';
import { contest } from '../contest.ts';
import { BenchError } from '../errors.ts';
import { figure } from '../figure.ts';
import { makeLargePath, makeSmallClosure } from '../made-paths.ts';
import type { Bench, Scenario } from './scenario.ts';

const MESH_SOCKET = '/run/mesh/nix.sock';
const PATHS = 2_000;
const PATH_BYTES = 512;
const NAR_MIB = 1024;
/** What passes costs at most a tenth more than at the real socket. */
const REQUIRED = 1.1;
const TIMEOUT_MS = 120_000;

type Name = 'nix-daemon' | 'mesh';
const SOCKETS: Readonly<Record<Name, string>> = { 'nix-daemon': DEFAULT_SOCKET_PATH, mesh: MESH_SOCKET };

/** Does the same at both sockets, by turns. */
async function beside(
  name: string,
  title: string,
  bench: Bench,
  work: (host: Host, socket: string) => Promise<void>,
  host: Host,
) {
  const contestants = (['nix-daemon', 'mesh'] as const).map((contestant) => ({
    name: contestant,
    run: async () => {
      const started = performance.now();
      await work(host, SOCKETS[contestant]);
      return (performance.now() - started) / 1000;
    },
  }));
  // Once for nobody's figure: code that is compiled, files in memory.
  for (const { run } of contestants) await run();
  const seconds = await contest(contestants, bench.runs, bench.salt, bench.told);
  const shares = seconds.mesh.map((took, run) => took / seconds['nix-daemon'][run]!);
  return [
    figure(name, title, 's', seconds.mesh, { rivals: { 'the real socket': seconds['nix-daemon'] } }),
    figure(`${name}-share`, `${title}, of what it takes at the real socket`, 'x', shares, {
      required: REQUIRED,
    }),
  ];
}

/** A walk over a closure by the agent's socket: a round trip for each path. */
export const nixSocketPathInfo: Scenario = {
  name: 'nix-socket-path-info',
  shape: 'own',
  title: `nix path-info -r of ${PATHS} paths at the agent's socket`,
  async measure(bench) {
    await using lab = await ClosureLab.up(1);
    const host = lab.source;
    const { root } = await makeSmallClosure(host, PATHS, PATH_BYTES);
    const walk = async (on: Host, socket: string): Promise<void> => {
      const { stdout } = await on.exec(['nix', '--store', `unix://${socket}`, 'path-info', '-r', root], {
        timeoutMs: TIMEOUT_MS,
      });
      const paths = stdout.trim().split('\n').length;
      if (paths !== PATHS) throw new BenchError('BENCH_NOT_COPIED', `The walk found ${paths} paths.`);
    };
    return await beside('nix-socket-path-info', `nix path-info -r of ${PATHS} paths`, bench, walk, host);
  },
};

/** One large NAR by the agent's socket. Nix itself reads the files where the socket is local, so the client is the mesh's own. */
export const nixSocketNar: Scenario = {
  name: 'nix-socket-nar',
  shape: 'own',
  title: `NarFromPath of ${NAR_MIB} MiB at the agent's socket`,
  async measure(bench) {
    await using lab = await ClosureLab.up(1);
    const host = lab.source;
    const path = await makeLargePath([host], NAR_MIB);
    const read = async (on: Host, socket: string): Promise<void> => {
      const client = await DaemonClient.connect({ socketPath: on.root + socket });
      let bytes = 0;
      try {
        for await (const chunk of client.narFromPath(path)) bytes += chunk.length;
      } finally {
        client.close();
      }
      if (bytes < NAR_MIB * 2 ** 20) throw new BenchError('BENCH_NOT_COPIED', `The NAR had ${bytes} bytes.`);
    };
    return await beside('nix-socket-nar', `NarFromPath of ${NAR_MIB} MiB`, bench, read, host);
  },
};
