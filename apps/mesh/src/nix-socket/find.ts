import { connect } from 'node:net';
import { join } from 'node:path';
import { type Surroundings, socketDirs } from '../control/socket-dirs.ts';

/** As the agent has it (packages/agent/src/nix-socket): importing that would load all of it. */
const NIX_SOCKET = 'nix.sock';

/** Whether a value of `NIX_REMOTE` is the socket of an agent already. */
export function isNixSocket(remote: string): boolean {
  return remote.startsWith('unix:///') && remote.endsWith(`/${NIX_SOCKET}`);
}

/** The running agent's `nix.sock` that serves this user, if there is one. */
export async function findNixSocket(surroundings: Surroundings): Promise<string | undefined> {
  for (const dir of socketDirs(surroundings)) {
    const path = join(dir, NIX_SOCKET);
    if (await answers(path)) return path;
  }
  return undefined;
}

/** A look, with nothing said. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
