// The lab's host images: Debian root file systems with Nix, made once and kept outside the repository.
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureTools, outputOf, run } from './machine.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { version, suites } = JSON.parse(readFileSync(join(here, '../test/lab/images.json'), 'utf8'));

const TOOLS = {
  debootstrap: 'debootstrap',
  flock: 'util-linux',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  mount: 'mount',
  ip: 'iproute2',
  tc: 'iproute2',
  'ssh-keygen': 'openssh-client',
};

/** The folder all large things made for tests and the demo are kept in. */
export function cacheDir() {
  return process.env.MESH_LAB_CACHE || '/var/cache/mesh-lab';
}

function imageDir(suite) {
  return join(cacheDir(), `${suite}-v${version}`);
}

/** Makes the images of `wanted` suites that are not there yet. About 90 s and 600 MB each. */
export async function ensureImages(wanted, say) {
  const missing = wanted.filter((suite) => !existsSync(imageDir(suite)));
  await ensureTools(TOOLS, say);
  if (missing.length === 0) return;
  mkdirSync(cacheDir(), { recursive: true });
  for (const suite of missing) {
    say(
      `making the lab's ${suite} image (Nix ${suites[suite].nix}) in ${imageDir(suite)}, once; takes a minute or two`,
    );
    await buildUnderLock(suite, say);
  }
}

// The lock belongs to an open file that the build holds as well: it lasts as long as the last of us and is never stale.
async function buildUnderLock(suite, say) {
  const lock = openSync(join(cacheDir(), `.lock-${suite}`), 'w');
  const stdio = ['ignore', 2, 2, lock];
  try {
    await run('flock', ['--nonblock', '3'], { stdio }).catch(() => {
      say('waiting for another set-up that is making it');
      return run('flock', ['3'], { stdio });
    });
    if (existsSync(imageDir(suite))) return;
    // Whoever left this behind is gone: the lock was free.
    const { base, packages } = suites[suite];
    if (base !== undefined) await ensureImages([base], say);
    const unfinished = join(cacheDir(), `.unfinished-${suite}`);
    rmSync(unfinished, { recursive: true, force: true });
    const isolated = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const script = join(here, 'lab-image.sh');
    await run('unshare', [...isolated, 'sh', script, suite, unfinished, ...mirrorOf()], {
      stdio,
      env: { ...process.env, BASE: base === undefined ? '' : imageDir(base), PACKAGES: packages ?? '' },
    });
    renameSync(unfinished, imageDir(suite));
  } finally {
    closeSync(lock);
  }
}

// The mirror this machine's own apt uses, so that one behind a proxy or a private mirror works as well.
function mirrorOf() {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!/^ID=debian$/m.test(release)) return [];
  const targets = outputOf('apt-get', [
    'indextargets',
    '--format',
    '$(SITE) $(COMPONENT)',
    'Identifier: Packages',
  ]);
  const site = targets
    .split('\n')
    .map((line) => line.split(' '))
    .find(([site, component]) => component === 'main' && !/security/.test(site))?.[0];
  return site ? [site] : [];
}
