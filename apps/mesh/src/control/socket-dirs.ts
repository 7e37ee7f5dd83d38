import { resolvePaths } from '@mesh/agent/paths';
import { SYSTEM_SOCKET_DIR } from '../constants.ts';

export interface Surroundings {
  uid: number;
  env: Record<string, string | undefined>;
  /** `--state-dir`. */
  stateDir: string | undefined;
}

/**
 * Where to look for an agent, in order: the user's own, then the machine's. Whoever names a place (`--state-dir`,
 * `MESH_STATE_DIR`, `MESH_SOCKET_DIR`) means that one alone.
 */
export function socketDirs({ uid, env, stateDir }: Surroundings): string[] {
  const { socketDir } = resolvePaths({ uid, env, stateDir });
  const named = stateDir ?? (env.MESH_STATE_DIR || env.MESH_SOCKET_DIR);
  return named || socketDir === SYSTEM_SOCKET_DIR ? [socketDir] : [socketDir, SYSTEM_SOCKET_DIR];
}
