// Makes a bare clone ready: npm packages, the Node the project targets, the lab's tools and images, the demo's sources.
// usage: node scripts/setup.mjs [test|demo|bench|lab|sim]     Built-ins only, runs on Node 20; says what it does; instant when
// there is nothing to do. What needs root or Linux is left out with a word elsewhere, and is an error where CI is set.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDir, ensureImages } from './lab-images.mjs';
import { isLinux, isRoot, run, which } from './machine.mjs';

const NODE_MAJOR = 24;
const IMAGES = {
  test: ['sid', 'trixie', 'bookworm', 'systemd'],
  demo: ['sid'],
  bench: ['sid'],
  lab: ['sid'],
  sim: [],
};

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const say = (line) => process.stderr.write(`setup: ${line}\n`);

async function npmPackages() {
  const lock = join(root, 'package-lock.json');
  const installed = join(root, 'node_modules/.package-lock.json');
  const stamp = join(root, 'node_modules/.mesh-setup');
  const wanted = createHash('sha256').update(readFileSync(lock)).digest('hex');
  if (!existsSync(installed)) {
    say('installing npm packages (npm ci)');
    await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root });
  } else {
    const stamped = existsSync(stamp) ? readFileSync(stamp, 'utf8') : undefined;
    if (stamped === wanted) return;
    if (stamped !== undefined || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
      // Not `npm ci`, which empties node_modules under whatever runs from it.
      say('bringing npm packages up to the lock file (npm install)');
      await run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], {
        cwd: root,
      });
    }
  }
  writeFileSync(stamp, wanted);
}

// Node comes as an npm package where there is one for this platform; npm scripts find it in node_modules/.bin.
function nodeVersion() {
  const bundled = join(root, `node_modules/node-${process.platform}-${process.arch}/package.json`);
  if (existsSync(bundled)) {
    const { version } = JSON.parse(readFileSync(bundled, 'utf8'));
    if (Number.parseInt(version, 10) >= NODE_MAJOR && existsSync(join(root, 'node_modules/.bin/node')))
      return;
  }
  const running = process.versions.node;
  if (Number.parseInt(running, 10) >= NODE_MAJOR) return;
  throw new Error(
    `Node ${NODE_MAJOR} or newer is needed and this is ${running}; no npm package brings it to ` +
      `${process.platform}-${process.arch}, so install it and run this again.`,
  );
}

async function lab(suites) {
  const why = !isLinux
    ? 'it needs Linux'
    : !isRoot
      ? 'it needs root'
      : !which('apt-get') && !which('debootstrap')
        ? 'it needs apt-get or debootstrap'
        : undefined;
  if (why === undefined) {
    await ensureImages(suites, say);
    return true;
  }
  const line = `the lab (hosts made of namespaces) is left out: ${why}`;
  if (process.env.CI) throw new Error(`${line}, and CI must not leave it out.`);
  say(line);
  return false;
}

async function demoSources() {
  const script = join(root, 'scripts/demo-sources.mjs');
  if (!existsSync(script)) return;
  const { demoSources: fetchSources } = await import('./demo-sources.mjs');
  await fetchSources({ cacheDir: cacheDir(), say });
}

async function main(purpose = 'test') {
  const suites = IMAGES[purpose];
  if (!suites) throw new Error(`"${purpose}" is not one of ${Object.keys(IMAGES).join(', ')}.`);
  await npmPackages();
  nodeVersion();
  if (suites.length === 0) return;
  const hasLab = await lab(suites);
  if (purpose === 'demo' && hasLab) await demoSources();
}

try {
  await main(process.argv[2]);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
