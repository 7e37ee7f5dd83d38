import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { socketDirs } from './control/socket-dirs.ts';

/*
 * `mesh-builder --stdio`: carries what Nix says to the agent of this machine and back. Nix starts one for every derivation, so it
 * loads next to nothing.
 */

/** As the agent has them (packages/agent/src/builder): importing them would load all of it. */
const BUILDER_SOCKET = 'builder.sock';
const BUILDER_VERSION = 1;
const MAX_WELCOME_BYTES = 16 * 1024;

interface Wishes {
  systems: string[];
  features: string[];
  stateDir: string | undefined;
}

const OPTIONS = ['--system', '--feature', '--state-dir'];

function fail(reason: string): never {
  process.stderr.write(`mesh-builder: ${reason}\n`);
  process.exit(1);
}

/** Nix itself adds `--stdio`; the rest is what the line of the builder has after the program's name. */
function readArguments(argv: readonly string[]): Wishes {
  const wishes: Wishes = { systems: [], features: [], stateDir: undefined };
  for (let at = 0; at < argv.length; at += 1) {
    const [name, joined] = (argv[at] as string).split('=', 2) as [string, string | undefined];
    if (name === '--stdio') continue;
    if (!OPTIONS.includes(name)) fail(`${name} is no option; there are ${OPTIONS.join(', ')}.`);
    const value = joined ?? argv[++at];
    if (value === undefined) fail(`${name} needs a value.`);
    const list = value.split(',').filter((word) => word !== '');
    if (name === '--system') wishes.systems.push(...list);
    else if (name === '--feature') wishes.features.push(...list);
    else wishes.stateDir = value;
  }
  return wishes;
}

/** The first of the sockets that answers. */
function dial(paths: readonly string[], found: (socket: Socket) => void): void {
  const [path, ...others] = paths;
  if (path === undefined) fail('no agent of the mesh runs here, or not for this user; start `mesh agent`.');
  const socket = connect(path);
  socket.once('error', () => dial(others, found));
  socket.once('connect', () => {
    socket.removeAllListeners('error');
    found(socket);
  });
}

function relay(socket: Socket): void {
  let heard = Buffer.alloc(0);
  const leave = (): void => process.exit();
  socket.on('error', leave).on('close', leave);
  process.stdout.on('error', leave);
  process.stdin.on('error', leave);
  const listen = (chunk: Buffer): void => {
    heard = Buffer.concat([heard, chunk]);
    const end = heard.indexOf('\n');
    if (end === -1) {
      if (heard.length > MAX_WELCOME_BYTES)
        fail('the agent says what this program does not understand; restart it.');
      return;
    }
    const welcome = JSON.parse(heard.toString('utf8', 0, end)) as { refused?: string };
    if (welcome.refused !== undefined) fail(`${welcome.refused}.`);
    socket.off('data', listen);
    if (end + 1 < heard.length) process.stdout.write(heard.subarray(end + 1));
    // The end of either side ends the other, and with it the build.
    socket.pipe(process.stdout);
  };
  socket.on('data', listen);
  process.stdin.pipe(socket);
}

const { systems, features, stateDir } = readArguments(process.argv.slice(2));
const dirs = socketDirs({ uid: process.getuid?.() ?? 0, env: process.env, stateDir });
dial(
  dirs.map((dir) => join(dir, BUILDER_SOCKET)),
  (socket) => {
    socket.write(`${JSON.stringify({ version: BUILDER_VERSION, systems, features })}\n`);
    relay(socket);
  },
);
