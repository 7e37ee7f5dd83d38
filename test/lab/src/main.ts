import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { LabError } from './errors.ts';
import type { Host } from './host.ts';
import { IMAGES, type Image, nixVersionOf } from './images.ts';
import { Lab } from './lab.ts';
import { isRunning, labNames, loadState, reap } from './state.ts';

const USAGE = `usage: npm run lab -- COMMAND
  up N [--image sid|trixie|bookworm] [--slots 2] [--sshd] [--no-multicast]   bring N hosts up, h1 to hN
  sh HOST [COMMAND...]                run a command (or a shell) on a host
  kill HOST | boot HOST               pull its plug, switch it on again
  cpu HOST SHARE                      limit it to a share of one processor (0.5)
  net HOST WORDS... | net HOST off    spoil its cable (delay 50ms loss 5% rate 10mbit), or mend it
  link HOST up|down                   its cable
  partition h1,h2 h3 | heal           split the LAN, join it again
  status [--json]
  down                                take it away; also what labs of dead owners left
Each takes --name NAME, for several labs beside one another (default: hand); sh before the HOST.`;

class UsageError extends Error {}

type Command = (args: string[], name: string) => Promise<number> | number;

const commands: Readonly<Record<string, Command>> = {
  up,
  keep,
  sh,
  kill: async ([host], name) => act(hostOf(name, host).kill()),
  boot: async ([host], name) => act(hostOf(name, host).boot()),
  cpu: ([host, share], name) => {
    const processors = Number(share);
    if (!(processors > 0)) throw new UsageError(`"${share}" is no share of a processor.`);
    hostOf(name, host).cpu(processors);
    return 0;
  },
  net: async ([host, ...words], name) => {
    if (words.length === 0) throw new UsageError('Say how to spoil the cable, or "off".');
    return act(hostOf(name, host).net(words[0] === 'off' ? undefined : words.join(' ')));
  },
  link: async ([host, state], name) => {
    if (state !== 'up' && state !== 'down') throw new UsageError('A cable is "up" or "down".');
    return act(hostOf(name, host).link(state));
  },
  partition: async (groups, name) =>
    act(Lab.attach(name).partition(...groups.map((group) => group.split(',')))),
  heal: async (_, name) => act(Lab.attach(name).heal()),
  status,
  down,
};

async function act(done: Promise<void>): Promise<number> {
  await done;
  return 0;
}

function hostOf(lab: string, host: string | undefined): Host {
  if (host === undefined) throw new UsageError('Which host?');
  return Lab.attach(lab).host(host);
}

/** Leaves a `keep` behind that owns the lab. */
async function up(args: string[], name: string): Promise<number> {
  const keeper = spawn(process.execPath, [import.meta.filename, 'keep', '--name', name, ...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  keeper.stderr.pipe(process.stderr);
  const ended = once(keeper, 'exit') as Promise<[number | null]>;
  const started = once(keeper.stdout, 'data') as Promise<[Buffer]>;
  const [first] = await Promise.race([started, ended]);
  if (!Buffer.isBuffer(first)) return first ?? 1;
  keeper.unref();
  // It must not keep our output open.
  keeper.stdout.destroy();
  keeper.stderr.destroy();
  return status([], name);
}

/** Owns a lab until it is ended itself, by any signal: the lab goes with it. */
async function keep(args: string[], name: string): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      image: { type: 'string', default: 'sid' },
      slots: { type: 'string', default: '2' },
      sshd: { type: 'boolean', default: false },
      'no-multicast': { type: 'boolean', default: false },
    },
  });
  if (!(IMAGES as readonly string[]).includes(values.image)) {
    throw new UsageError(`"${values.image}" is no image: there are ${IMAGES.join(', ')}.`);
  }
  await Lab.up({
    name,
    hosts: Number(positionals[0]),
    image: values.image as Image,
    slots: Number(values.slots),
    sshd: values.sshd,
    multicast: !values['no-multicast'],
  });
  process.stdout.write('up\n');
  await new Promise((resolve) => setInterval(resolve, 2 ** 31 - 1));
  return 0;
}

async function sh([host, ...command]: string[], name: string): Promise<number> {
  const term = process.env.TERM ?? 'dumb';
  const line = hostOf(name, host).commandLine(command.length === 0 ? ['bash'] : command, {
    env: { TERM: term },
  });
  const child = spawn(line.program, line.args, { stdio: 'inherit', env: line.env });
  // Ctrl-C is for the command in the host, which has the same terminal.
  process.on('SIGINT', () => undefined);
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

function status(args: string[], _name: string): number {
  const rows = labNames().flatMap((name) => {
    // One that is just coming up, or that a dead owner left.
    if (!isRunning(loadState(name)?.supervisor)) return [];
    const lab = Lab.attach(name);
    return lab.hosts.map((host) => ({
      lab: lab.name,
      host: host.name,
      address: host.address,
      nix: nixVersionOf(host.image),
      up: host.isUp,
      processes: host.isUp ? host.processes().length : 0,
    }));
  });
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify(rows)}\n`);
  else if (rows.length === 0) process.stdout.write('no lab is up\n');
  for (const row of args.includes('--json') ? [] : rows) {
    const state = row.up ? `${row.processes} processes` : 'down';
    process.stdout.write(`${row.lab}  ${row.host}  ${row.address}  Nix ${row.nix}  ${state}\n`);
  }
  return 0;
}

async function down(_args: string[], name: string): Promise<number> {
  for (const dead of reap()) process.stdout.write(`removed what lab ${dead} left\n`);
  if (loadState(name) !== undefined) await Lab.attach(name).down();
  return 0;
}

async function main(argv: string[]): Promise<number> {
  const [word = '', ...args] = argv;
  const name = takeName(args, word === 'sh' ? 1 : args.length);
  const command = Object.hasOwn(commands, word) ? commands[word] : undefined;
  if (command === undefined)
    throw new UsageError(word === '' ? 'Which command?' : `There is no command "${word}".`);
  return command(args, name);
}

/** Takes `--name NAME` out of the arguments. What follows the host of `sh` belongs to the command that runs there. */
function takeName(args: string[], limit: number): string {
  const at = args.indexOf('--name');
  if (at < 0 || at >= limit) return 'hand';
  const [, name] = args.splice(at, 2);
  if (name === undefined) throw new UsageError('--name needs a name.');
  return name;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const code = (error as { code?: string }).code;
  const wrongUsage = error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS') === true;
  if (!wrongUsage && !(error instanceof LabError)) throw error;
  process.stderr.write(`${(error as Error).message}\n${wrongUsage ? `${USAGE}\n` : ''}`);
  process.exitCode = wrongUsage ? 2 : 1;
}
