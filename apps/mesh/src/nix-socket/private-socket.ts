import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BuildPort, buildHandlers, NIX_SOCKET, retryWhileFull } from '@mesh/agent/nix-socket';
import { DaemonPool, DEFAULT_SOCKET_PATH, serveDaemonClient, systemInfo } from '@mesh/nix';
import { askForBuild } from '../build/build-port.ts';
import { type CommonFlags, ownUid, printNote, runningAgent } from '../commands/io.ts';

/** Connections that only ask which paths are valid. */
const QUESTIONS_AT_ONCE = 2;

/**
 * Serves the mesh to plain Nix from this process, where no agent does so for this user: with the user's own rights at the nix-daemon, in
 * a folder that nobody else can enter.
 */
export async function servePrivately(flags: CommonFlags): Promise<{ path: string; close(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'mesh-run-'));
  const path = join(dir, NIX_SOCKET);
  const pool = new DaemonPool({ max: QUESTIONS_AT_ONCE });
  const handlers = buildHandlers({
    port: controlPort(flags),
    defaultCores: async () => (await systemInfo()).cores,
    queryValidPaths: (paths) => pool.use(async (client) => client.queryValidPaths(paths)),
  });
  const clients = new Set<Socket>();
  const running = new Set<Promise<void>>();
  const server = createServer((client) => {
    clients.add(client);
    client.on('close', () => clients.delete(client));
    // A client that breaks off is seen by 'close'.
    client.on('error', () => undefined);
    const served = serveDaemonClient({
      client,
      openDaemon: () => retryWhileFull(() => connect({ path: DEFAULT_SOCKET_PATH })),
      handlers,
    })
      .catch((error: unknown) => {
        printNote(`mesh: a connection of Nix broke off: ${error instanceof Error ? error.message : error}`);
        client.destroy();
      })
      .finally(() => running.delete(served));
    running.add(served);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return {
    path,
    async close() {
      for (const client of clients) client.destroy();
      await Promise.all(running);
      await new Promise((resolve) => server.close(resolve));
      pool.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The running agent, or one in this process for as long as a build takes. */
function controlPort(flags: CommonFlags): BuildPort {
  const surroundings = {
    uid: ownUid(),
    env: process.env,
    stateDir: flags.stateDir,
    warn: (message: string) => printNote(`mesh: warning: ${message}`),
  };
  const ports = {
    running: runningAgent(flags),
    startOwn: async () => (await import('../build/own-agent.ts')).startOwnAgent(surroundings),
    onOwn: once(() =>
      printNote(
        'mesh: no agent is running on this machine; each build brings its own (`mesh agent` starts one that stays)',
      ),
    ),
  };
  return {
    async build({ options, inputs, signal, onEvent }) {
      await askForBuild(ports, options, {
        inputs,
        signal,
        emit(response) {
          if (response.type === 'event') onEvent(response.event);
        },
      });
    },
  };
}

function once(say: () => void): () => void {
  let isSaid = false;
  return () => {
    if (!isSaid) say();
    isSaid = true;
  };
}
