// What this machine has, and running its programs: shared by the set-up steps. Built-ins only; runs on Node 20.
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export const isLinux = process.platform === 'linux';
export const isRoot = process.getuid?.() === 0;

/** Where programs are looked for; system tools live in sbin, which an ordinary PATH leaves out. */
const searchPath = [
  ...(process.env.PATH ?? '').split(delimiter),
  '/usr/local/sbin',
  '/usr/sbin',
  '/sbin',
].filter((folder) => folder !== '');

/** The full path of program `name`, or undefined where this machine lacks it. */
export function which(name) {
  for (const folder of searchPath) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** Runs a program with its output on ours (stderr); rejects with one sentence when it fails. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 2, 2],
      ...options,
      env: { ...process.env, PATH: searchPath.join(delimiter), ...options.env },
    });
    child.once('error', (cause) => reject(new Error(`${command} did not start: ${cause.message}`)));
    child.once('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`\`${[command, ...args].join(' ')}\` failed (${signal ?? `exit ${code}`}).`));
    });
  });
}

/** What a program prints on stdout; empty when it fails or does not exist. */
export function outputOf(command, args) {
  const done = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return done.status === 0 ? done.stdout : '';
}

/** Installs the Debian packages that bring `tools` ({program: package}), where any of these programs is missing. */
export async function ensureTools(tools, say) {
  const missing = [
    ...new Set(
      Object.keys(tools)
        .filter((tool) => !which(tool))
        .map((tool) => tools[tool]),
    ),
  ];
  if (missing.length === 0) return;
  if (!which('apt-get')) {
    throw new Error(
      `This machine lacks ${missing.join(', ')} and has no apt-get: install them and run this again.`,
    );
  }
  say(`installing ${missing.join(' ')} with apt-get`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-qq'], { env });
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], { env });
}
