import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, Lab, LabMesh, type Report, repositoryRoot } from '@mesh/lab';
import { DemoError } from './demo-error.ts';
import { say } from './say.ts';
import { sourcesFolder } from './sources.ts';
import { idleMachines, summary } from './summary.ts';
import { table } from './table.ts';

const HOSTS = 3;
const SLOTS = 2;

/** The sandbox sees the host's compiler, which demo.nix builds with. The last line for a setting counts. */
const NIX_CONF = 'sandbox-paths = /bin=/usr/bin /usr /lib=/usr/lib /lib64=/usr/lib64 /etc/alternatives\n';

const EXPRESSION = join(repositoryRoot, 'test/demo/nix/demo.nix');
const SOURCES = '/var/lib/demo-sources';
const RESULT = '/root/result';
const REPORT = '/root/report.json';

/** What was built and how each program tells its version. */
const PROGRAMS: readonly (readonly [program: string, argument: string])[] = [
  ['jq', '--version'],
  ['lua', '-v'],
  ['xz', '--version'],
  ['bzip2', '--version'],
  ['file', '--version'],
  ['pcre2grep', '--version'],
  ['libpng-config', '--version'],
];

/**
 * Three hosts, an agent on each, one mesh; `mesh build` of real software on the first, then what it made is run.
 * @throws {DemoError} `DEMO_BUILD_FAILED`, `DEMO_NOT_SPREAD`
 */
export async function threeHosts(): Promise<void> {
  const sources = await sourcesFolder();
  say(`Starting ${HOSTS} hosts of ${SLOTS} build slots each, with an agent on each...`);
  await using lab = await Lab.up({ hosts: HOSTS, slots: SLOTS, nixConf: NIX_CONF });
  const mesh = await LabMesh.up(lab);
  const home = lab.host('h1');
  say('`mesh invite` on h1 and `mesh join` on the others made them one mesh. `mesh peers` on h1:\n');
  say((await mesh.run(home, ['peers'])).stdout);

  // Only the home needs the sources: what a build needs, the mesh brings to where it runs.
  cpSync(sources, join(home.disk, SOURCES), { recursive: true });
  const report = await build(home);
  say();
  for (const line of summary(report)) say(line);
  say();
  const idle = idleMachines(
    report,
    lab.hosts.map(({ name }) => name),
  );
  if (idle.length > 0) {
    const message = `The build ended well but ${idle.join(' and ')} built nothing; the table above says where all of it ran.`;
    throw new DemoError('DEMO_NOT_SPREAD', message);
  }
  say(`The programs, run from ${RESULT}/bin on h1:\n`);
  for (const line of await versions(home)) say(line);
}

/** `mesh build` with its own progress on our terminal. */
async function build(home: Host): Promise<Report> {
  const command = ['mesh', 'build', '-f', EXPRESSION, 'all', '--argstr', 'sources', SOURCES];
  say(`h1$ ${command.join(' ')}\n`);
  const { program, args, env } = home.commandLine([...command, '--report', REPORT, '--out-link', RESULT], {
    env: terminal(),
  });
  const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) {
    throw new DemoError(
      'DEMO_BUILD_FAILED',
      `\`mesh build\` on h1 ended with ${code ?? 'a signal'}; its output says why.`,
    );
  }
  return JSON.parse(readFileSync(join(home.disk, REPORT), 'utf8')) as Report;
}

// What the command's progress display goes by.
function terminal(): Record<string, string> {
  const names = ['TERM', 'COLORTERM', 'NO_COLOR', 'COLUMNS'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

async function versions(home: Host): Promise<string[]> {
  const rows: string[][] = [];
  for (const [program, argument] of PROGRAMS) {
    const { stdout, stderr } = await home.exec([`${RESULT}/bin/${program}`, argument]);
    // bzip2 tells its version on stderr and then packs its empty input to stdout.
    rows.push([`${program} ${argument}`, firstLine(stderr) || firstLine(stdout)]);
  }
  return table(['command', 'says'], rows);
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}
