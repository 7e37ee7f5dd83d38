import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Report, repositoryRoot } from '@mesh/lab';
import { DemoError } from './demo-error.ts';
import { say } from './say.ts';
import { summary } from './summary.ts';

/**
 * Where the lab cannot run: a mesh of one on this machine's own Nix, and builds that need nothing but a shell.
 * @throws {DemoError} `DEMO_NO_NIX`, `DEMO_BUILD_FAILED`
 */
export async function alone(reason: string): Promise<void> {
  say(
    `The lab of three hosts is left out: ${reason}. So are the compilations, which need its compiler in the sandbox.`,
  );
  const nix = spawnSync('nix', ['--version'], { encoding: 'utf8' });
  if (nix.error || nix.status !== 0) {
    const message =
      'What is left is a mesh of one on this machine, which needs Nix: install it, or run this as root on Linux.';
    throw new DemoError('DEMO_NO_NIX', message);
  }
  say(`What is left is a mesh of one on this machine, with its own ${nix.stdout.trim()}.\n`);
  const folder = mkdtempSync(join(tmpdir(), 'mesh-demo-'));
  try {
    const report = await build(folder);
    say();
    for (const line of summary(report)) say(line);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// No agent is started: the command brings its own for the build where none is running.
async function build(folder: string): Promise<Report> {
  const file = join(folder, 'report.json');
  const mesh = join(repositoryRoot, 'apps/mesh/bin/mesh');
  const expression = join(repositoryRoot, 'test/demo/nix/alone.nix');
  // New paths every time: a second demo should build, too.
  const args = ['build', '-f', expression, '--argstr', 'salt', String(Date.now())];
  const options = ['--state-dir', join(folder, 'state'), '--report', file, '--no-link', '--print-out-paths'];
  say(`$ mesh ${args.join(' ')}\n`);
  const child = spawn(mesh, [...args, ...options], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) {
    throw new DemoError(
      'DEMO_BUILD_FAILED',
      `\`mesh build\` ended with ${code ?? 'a signal'}; its output says why.`,
    );
  }
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}
