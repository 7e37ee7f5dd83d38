import { Command, CommanderError, Option } from 'commander';
import type { BuildFlags } from './build/options.ts';
import { joinPairs, LOG_FORMATS } from './build/options.ts';
import type { AgentFlags } from './commands/agent.ts';
import type { CacheWarmFlags } from './commands/cache-warm.ts';
import type { ConfigFlags } from './commands/config.ts';
import type { InstallFlags } from './commands/install.ts';
import type { CommonFlags } from './commands/io.ts';
import type { PauseFlags } from './commands/pause.ts';
import { DEFAULT_INVITE_TTL } from './constants.ts';
import { CliError, EXIT } from './errors.ts';

type JsonFlags = CommonFlags & { json?: boolean };

const collect = (value: string, before: string[] = []) => [...before, value];
/** With commas or one by one. An option with nothing in it (`--on "$UNSET"`) must not pass for one that was not given. */
const collectNames = (value: string, before: string[] = []) => {
  const names = value
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return [...before, ...(names.length > 0 ? names : [''])];
};
/** Options that may be given several times. Not commander's defaults: those show up in the help. */
const NO_EVALUATION_LISTS = { attr: [], arg: [], argstr: [] } satisfies Partial<BuildFlags>;
const NO_LISTS = { ...NO_EVALUATION_LISTS, on: [], not: [], prefer: [] } satisfies Partial<BuildFlags>;

/**
 * The commands and their options. Each action loads its own code, so that a command pays for nothing but itself: libp2p alone
 * takes half a second to load.
 */
export function createProgram(version: string): Command {
  const program = new Command('mesh')
    .description('Build Nix derivations on all the machines of a LAN, as if they were one.')
    .version(version)
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .showHelpAfterError(false);
  const command = (usage: string, description: string) =>
    program
      .command(usage)
      .description(description)
      .option('--state-dir <dir>', 'where the agent keeps its state (MESH_STATE_DIR)')
      .option('-v, --verbose', 'say more');

  addBuild(
    command(
      'build [installables...]',
      'build on the mesh: flake references, .drv files, or attributes of -f FILE',
    ),
  );
  addAgent(command('agent', 'run the agent of this machine in the foreground'));
  command('status', 'who the agent of this machine is')
    .option('--json', 'for programs')
    .action(async (flags: JsonFlags) => (await import('./commands/status.ts')).status(flags));
  command('front-door', 'how other machines reach the SSH front door of this one (docs/plain-nix.md)')
    .option('--json', 'for programs')
    .action(async (flags: JsonFlags) => (await import('./commands/front-door.ts')).frontDoor(flags));
  command('peers', 'list the members of the mesh, and strangers seen')
    .option('--json', 'for programs')
    .action(async (flags: JsonFlags) => (await import('./commands/peers.ts')).peers(flags));
  command('invite', 'print a ticket with which one machine may join')
    .option('--ttl <time>', 'how long it is good: 90s, 10m, 2h, 1d', DEFAULT_INVITE_TTL)
    .option('--roles <list>', 'what the new machine may do', 'build,submit,admin')
    .action(async (flags: CommonFlags & { ttl: string; roles: string }) =>
      (await import('./commands/invite.ts')).invite(flags),
    );
  command('join [file]', 'join a mesh with a ticket from a prompt, stdin or a file')
    .option('--force', 'leave a mesh that has other members')
    .action(async (file: string | undefined, flags: CommonFlags & { force?: boolean }) =>
      (await import('./commands/join.ts')).join(file, flags),
    );
  command('remove <peer>', 'take a machine out of the mesh, by name or peer id').action(
    async (peer: string, flags: CommonFlags) => (await import('./commands/remove.ts')).remove(peer, flags),
  );
  command('pause', 'take no work of others until `mesh resume`; what runs is finished')
    .option('--for <time>', 'only for so long: 30m, 8h, 2d')
    .option('--reason <text>', 'what others are told')
    .action(async (flags: PauseFlags) => (await import('./commands/pause.ts')).pause(flags));
  command('resume', 'take work of others again').action(async (flags: CommonFlags) =>
    (await import('./commands/pause.ts')).resume(flags),
  );
  command('jobs', 'list the jobs of this machine')
    .option('--json', 'for programs')
    .action(async (flags: JsonFlags) => (await import('./commands/jobs.ts')).jobs(flags));
  command('log <derivation>', 'print the log of a build, by .drv or by name')
    .option('-f, --follow', 'until the build ends')
    .action(async (target: string, flags: CommonFlags & { follow?: boolean }) =>
      (await import('./commands/log.ts')).log(target, flags),
    );
  command('report [job]', 'where the time of a job went; the newest unless one is named')
    .option('--json', 'for programs (docs/report.md)')
    .action(async (job: string | undefined, flags: JsonFlags) =>
      (await import('./commands/report.ts')).report(job, flags),
    );
  command('why <derivation>', 'why a derivation is, was or waits to be built where it is, by .drv or by name')
    .option('--job <job>', 'in this job (default: the newest that has it)')
    .option('--json', 'for programs')
    .action(async (target: string, flags: JsonFlags & { job?: string }) =>
      (await import('./commands/why.ts')).why(target, flags),
    );
  command('run <command...>', 'run a command whose Nix builds on the mesh: mesh run -- nix build').action(
    async (words: string[], flags: CommonFlags) => (await import('./commands/run.ts')).run(words, flags),
  );
  command('doctor', 'what is wrong with the mesh on this machine, and how to mend it')
    .option('--json', 'for programs')
    .action(async (flags: JsonFlags) => (await import('./commands/doctor.ts')).doctor(flags, version));
  addInstall(command('install <hosts...>', 'put an agent on machines by SSH, and make them members'));
  // Without options: a group would take those of its commands for its own.
  addCache(program.command('cache').description('the binary cache of this machine, and what members hold'));
  addConfig(program.command('config').description('the settings of an agent (docs/configuration.md)'));
  return program;
}

const MACHINES_HELP = `
Machines are chosen by name or peer id, or by what they are:
  system=aarch64-linux  feature=kvm  tag=rack1  'cores>=16'  'memory>=32G'  'speed>=1.5'  home (this machine)
A comma means any of them, + means all of them:  --on ruby,tag=rack1+'cores>=16'`;

function addEvaluationOptions(command: Command): Command {
  return command
    .option('-f, --file <file>', 'evaluate this file; installables are its attributes')
    .option('-A, --attr <attribute>', 'an attribute of the file', collect)
    .option('--arg <name value>', 'a Nix expression for the function in the file', collect)
    .option('--argstr <name value>', 'a string for the function in the file', collect);
}

function addBuild(command: Command): void {
  addEvaluationOptions(command)
    .option('-o, --out-link <path>', 'where to link the results', 'result')
    .option('--no-link', 'link nothing')
    .option('--print-out-paths', 'print the store paths of the results on stdout')
    .option('--json', 'print derivations and outputs as JSON on stdout')
    .option('-k, --keep-going', 'after a failure, build what does not need what failed')
    .option('-L, --print-build-logs', 'show the logs of all builds')
    .option('--dry-run', 'say what would be built')
    .option('--on <machines>', 'only on these machines (see below)', collectNames)
    .option('--not <machines>', 'not on these machines', collectNames)
    .option('--prefer <machines>', 'rather on these, where they finish about as soon', collectNames)
    .option('--local', 'on this machine alone')
    .option('--priority <weight>', 'share of slots against other jobs: low, normal, high, or 0.01 to 100')
    .option('--report <file>', 'write the report of the job as JSON (docs/report.md)')
    .addOption(
      new Option('--log-format <format>', 'how to show progress').choices(LOG_FORMATS).default('auto'),
    )
    .addHelpText('after', MACHINES_HELP)
    .action(async (installables: string[], given: BuildFlags) => {
      const flags = { ...NO_LISTS, ...given };
      const { build } = await import('./commands/build.ts');
      await build([...installables, ...flags.attr], flags);
    });
}

function addAgent(command: Command): void {
  command
    .option('--name <name>', "this machine's name in the mesh (default: its host name)")
    .option('--listen <port>', 'TCP port for other machines')
    .option(
      '--peer <address>',
      'a machine to connect to where multicast does not reach: HOST[:PORT]',
      collect,
    )
    .option('--no-mdns', 'neither announce this machine nor look for others')
    .option('--slots <n>', 'builds at a time; 0 builds nothing here')
    .option('--limit-rate <bytes>', 'bytes a second for serving others: 10M, 500K')
    .action(async (flags: AgentFlags) =>
      (await import('./commands/agent.ts')).agent({ ...flags, peer: flags.peer ?? [] }),
    );
}

const INSTALL_HELP = `
HOSTS are [USER@]HOST[:PORT] or names of ssh_config. Run it again to upgrade, or to finish what was broken off (docs/install.md).`;

function addInstall(command: Command): void {
  command
    .option('--host-key <key>', "the machine's host key or its fingerprint (SHA256:...)")
    .option('-i, --identity <file>', 'private key to log in with')
    .option('--roles <list>', 'what the new members may do', 'build,submit,admin')
    .option('--supervise', 'without systemd or launchd: a small script keeps the agent running')
    .option('--no-service', 'start nothing')
    .option('--ask-sudo-password', 'where sudo asks for one')
    .option('--bundle <file>', 'install this bundle (scripts/bundle.mjs) where it fits', collect)
    .option('--force', 'the machine leaves a mesh with other members')
    .option('--uninstall', 'take everything away again')
    .option('--keep-state', 'with --uninstall: identity and membership stay')
    .option('--json', 'for programs')
    .addHelpText('after', INSTALL_HELP)
    .action(async (hosts: string[], flags: Omit<InstallFlags, 'bundle'> & { bundle?: string[] }) =>
      (await import('./commands/install.ts')).install(hosts, { ...flags, bundle: flags.bundle ?? [] }),
    );
}

function addCache(cache: Command): void {
  const command = (usage: string, description: string) =>
    cache
      .command(usage)
      .description(description)
      .option('--state-dir <dir>', 'where the agent keeps its state (MESH_STATE_DIR)')
      .option('-v, --verbose', 'say more');
  cache.helpCommand(false);
  addEvaluationOptions(
    command(
      'warm [installables...]',
      'fetch store paths, or what installables would build, with all they refer to; nothing is built',
    ),
  )
    .option('--json', 'for programs')
    .action(async (installables: string[], given: CacheWarmFlags) =>
      (await import('./commands/cache-warm.ts')).cacheWarm(installables, {
        ...NO_EVALUATION_LISTS,
        ...given,
      }),
    );
  command('which <path>', 'who holds a store path, or what a link like ./result leads to')
    .option('--json', 'for programs')
    .action(async (path: string, flags: JsonFlags) =>
      (await import('./commands/cache.ts')).cacheWhich(path, flags),
    );
  command('status', 'what the cache did, and whether Nix uses it')
    .option('--json', 'for programs')
    .action(async (flags: JsonFlags) => (await import('./commands/cache.ts')).cacheStatus(flags));
  command('trust', 'print what nix.conf needs so that plain Nix takes from the mesh (docs/cache.md)')
    .option('--nixos', 'as options of NixOS')
    .action(async (flags: CommonFlags & { nixos?: boolean }) =>
      (await import('./commands/cache.ts')).cacheTrust(flags),
    );
}

function addConfig(config: Command): void {
  const command = (usage: string, description: string) =>
    config
      .command(usage)
      .description(description)
      .option('--system', "of the machine's agent, in /var/lib/mesh")
      .option('--user', 'of your own agent')
      .option('--state-dir <dir>', 'of the agent with its state there (MESH_STATE_DIR)')
      .option('--json', 'for programs')
      .option('-v, --verbose', 'say more');
  const load = () => import('./commands/config.ts');
  config.helpCommand(false);
  command('get <key>', 'print the value in force of a key, or of a section').action(
    async (key: string, flags: ConfigFlags) => (await load()).configGet(key, flags),
  );
  command('set <key> <value...>', 'set a key: JSON or a bare word; several values make a list').action(
    async (key: string, values: string[], flags: ConfigFlags) => (await load()).configSet(key, values, flags),
  );
  command('unset <key>', 'take a key out of the file').action(async (key: string, flags: ConfigFlags) =>
    (await load()).configUnset(key, flags),
  );
  command('list', 'every key, its value in force, and where that is set').action(async (flags: ConfigFlags) =>
    (await load()).configList(flags),
  );
  command('edit', 'open the file in $EDITOR; written when it is right').action(async (flags: ConfigFlags) =>
    (await import('./commands/config-edit.ts')).configEdit(flags),
  );
  command('schema', 'print the JSON Schema of the file').action(async () =>
    (await load()).configSchemaText(),
  );
}

/** Parses and runs. `argv` is without node and script. Throws `CliError` for wrong usage, and what the command throws. */
export async function runProgram(argv: readonly string[], version: string): Promise<void> {
  const program = createProgram(version);
  for (const command of program.commands.flatMap((one) => [one, ...one.commands]))
    command.exitOverride().configureOutput({ outputError: () => undefined });
  try {
    await program.parseAsync(argv[0] === 'build' || argv[0] === 'cache' ? joinPairs(argv) : argv, {
      from: 'user',
    });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    // `mesh` alone: the help is printed already, on stderr.
    const silent = error.code === 'commander.help';
    throw new CliError('MESH_USAGE', EXIT.usage, usageMessage(error.message), { silent });
  }
}

/** Commander's words as ours: `error: unknown option '--x'` */
function usageMessage(message: string): string {
  const text = message.replace(/^error: /, '').replace(/\.?\s*$/, '');
  return `${text}; see \`mesh --help\`.`;
}
