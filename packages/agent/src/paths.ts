import { join } from 'node:path';

/** Where an agent keeps its state and its sockets. */
export interface MeshPaths {
  /** Identity, membership, configuration, logs of builds. */
  stateDir: string;
  /** `agent.sock` and `admin.sock`. */
  socketDir: string;
  /** Where commands look that are told nothing, if that is another place: served too, unless this machine has an agent there. */
  defaultSocketDir?: string;
}

/** Root's sockets, and so those of the machine's agent. */
const ROOT_SOCKET_DIR = '/run/mesh';

export interface PathsInit {
  /** Of the process that asks. */
  uid: number;
  env: Record<string, string | undefined>;
  /** `--state-dir`: wins over everything. */
  stateDir?: string | undefined;
}

/**
 * The one rule for both the agent and the command: root's agent keeps its state in /var/lib/mesh and its sockets in /run/mesh;
 * any other user's in `$XDG_STATE_HOME/mesh`. A state directory given by hand (`--state-dir`, `MESH_STATE_DIR`) brings its sockets
 * with it, so that two agents on one machine never meet, unless `MESH_SOCKET_DIR` says otherwise; root's first one is the machine's
 * agent all the same, found by commands that name no directory.
 */
export function resolvePaths({ uid, env, stateDir }: PathsInit): MeshPaths {
  const given = stateDir ?? nonEmpty(env.MESH_STATE_DIR);
  const sockets = nonEmpty(env.MESH_SOCKET_DIR);
  if (given !== undefined) {
    if (sockets !== undefined) return { stateDir: given, socketDir: sockets };
    const socketDir = join(given, 'run');
    return { stateDir: given, socketDir, ...(uid === 0 ? { defaultSocketDir: ROOT_SOCKET_DIR } : {}) };
  }
  if (uid === 0) return { stateDir: '/var/lib/mesh', socketDir: sockets ?? ROOT_SOCKET_DIR };
  const home = env.HOME ?? '/';
  const state = join(nonEmpty(env.XDG_STATE_HOME) ?? join(home, '.local', 'state'), 'mesh');
  const runtime = nonEmpty(env.XDG_RUNTIME_DIR);
  return { stateDir: state, socketDir: sockets ?? (runtime ? join(runtime, 'mesh') : join(state, 'run')) };
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
