// The demo's C sources: upstream's tar balls out of Debian source packages, fetched by apt and kept outside the repository.
// Built-ins only; runs on Node 20. Nothing of the machine's own apt set-up changes: lists and cache are in a folder of ours.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** Raised when the packages, the release or the manifest's shape changes: it names the folder, so old caches are left alone. */
const VERSION = 1;

/** demo.nix has a build script for exactly these, in exactly this release's versions, whatever Debian the machine runs. */
const RELEASE = 'bookworm';
const PACKAGES = ['zlib', 'bzip2', 'xz-utils', 'lua5.4', 'libonig', 'pcre2', 'libpng1.6', 'jq', 'file'];

/** Nobody fetches 10 MB for this long; what is older was left by a run that was killed. */
const LEFTOVER_AGE_MS = 3_600_000;

/**
 * Fetches the sources unless they are there, and gives the folder that holds them: tar balls and `sources.json`,
 * `{version: 1, release, packages: {NAME: {version, file, sha256}}}` (hex).
 * apt verifies every file against the archive's signed index. Throws one sentence when it cannot.
 */
export async function demoSources({ cacheDir, say }) {
  const folder = join(cacheDir, `sources-v${VERSION}`);
  if (existsSync(join(folder, 'sources.json'))) return folder;
  say(`fetching the demo's ${PACKAGES.length} source packages (about 10 MB) with apt into ${folder}, once`);
  mkdirSync(cacheDir, { recursive: true });
  removeLeftovers(cacheDir);
  const work = mkdtempSync(join(cacheDir, '.sources-'));
  try {
    const downloads = fetchWithApt(work);
    const finished = join(work, 'finished');
    mkdirSync(finished);
    const packages = Object.fromEntries(PACKAGES.map((name) => [name, keep(name, downloads, finished)]));
    const manifest = { version: VERSION, release: RELEASE, packages };
    writeFileSync(join(finished, 'sources.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    publish(finished, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}

// Of two runs at once the first to finish wins; both made the same.
function publish(finished, folder) {
  try {
    renameSync(finished, folder);
  } catch (error) {
    if (!existsSync(join(folder, 'sources.json'))) throw error;
  }
}

function removeLeftovers(cacheDir) {
  for (const name of readdirSync(cacheDir).filter((name) => name.startsWith('.sources-'))) {
    const path = join(cacheDir, name);
    if (Date.now() - statSync(path).mtimeMs > LEFTOVER_AGE_MS) rmSync(path, { recursive: true, force: true });
  }
}

/** Copies the package's upstream tar ball, whose name has the version: `zlib_1.2.13.dfsg.orig.tar.bz2`. */
function keep(name, downloads, finished) {
  const pattern = /^(?<name>[^_]+)_(?<version>[^_]+)\.orig\.tar\.(?:gz|bz2|xz)$/;
  for (const file of readdirSync(downloads)) {
    const parts = pattern.exec(file)?.groups;
    if (parts?.name !== name) continue;
    copyFileSync(join(downloads, file), join(finished, file));
    const sha256 = createHash('sha256')
      .update(readFileSync(join(downloads, file)))
      .digest('hex');
    return { version: parts.version, file, sha256 };
  }
  throw new Error(`apt fetched no upstream tar ball of ${name}; check this machine's apt sources.`);
}

/** `apt-get source` in folder `work`, with deb-src entries made from the machine's deb entries. Gives the folder of files. */
function fetchWithApt(work) {
  const sources = join(work, 'sources.list.d');
  const downloads = join(work, 'downloads');
  for (const folder of [
    sources,
    downloads,
    join(work, 'lists/partial'),
    join(work, 'cache/archives/partial'),
  ]) {
    mkdirSync(folder, { recursive: true });
  }
  // apt downloads as its own user, who must get this far.
  chmodSync(work, 0o755);
  const entries = sourceEntries();
  writeFileSync(join(sources, 'demo.list'), entries.lines.map((line) => `${line}\n`).join(''));
  writeFileSync(join(sources, 'demo.sources'), `${entries.stanzas.join('\n\n')}\n`);
  const options = [
    ['Dir::Etc::sourcelist', '/dev/null'],
    ['Dir::Etc::sourceparts', sources],
    ['Dir::State::Lists', join(work, 'lists')],
    ['Dir::Cache', join(work, 'cache')],
    ['Acquire::Languages', 'none'],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  // Another vendor's repository may have no sources; whether ours came shows in the next step.
  const update = apt([...options, 'update'], work);
  const fetched = apt([...options, 'source', '--download-only', '--only-source', ...PACKAGES], downloads);
  if (!fetched.ok) {
    const reason = `${update.output}\n${fetched.output}`.match(/^E: .*$/m)?.[0] ?? fetched.output.trim();
    throw new Error(
      `apt could not fetch the demo's sources (${reason}); see that \`apt-get update\` works here.`,
    );
  }
  return downloads;
}

function apt(args, cwd) {
  const done = spawnSync('apt-get', ['-q', '-y', ...args], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (done.error) {
    throw new Error('The demo takes its sources from Debian with apt-get, which this machine does not have.');
  }
  return { ok: done.status === 0, output: done.stdout + done.stderr };
}

/** The machine's entries for its own Debian release, both formats of sources.list(5), turned to RELEASE's sources. */
function sourceEntries() {
  const lines = [];
  const stanzas = [];
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(textOf('/etc/os-release'))?.[1] ?? RELEASE;
  for (const path of ['/etc/apt/sources.list', ...filesOf('/etc/apt/sources.list.d')]) {
    const text = textOf(path);
    if (path.endsWith('.sources')) {
      stanzas.push(...text.split(/\n\s*\n/).flatMap((stanza) => sourceStanza(stanza, codename)));
    } else if (path.endsWith('.list')) {
      lines.push(...text.split('\n').flatMap((line) => sourceLine(line, codename)));
    }
  }
  if (lines.length + stanzas.length === 0) {
    throw new Error(
      `This machine's apt has no entry for Debian "${codename}" with component main, so the demo's sources cannot be found.`,
    );
  }
  return { lines, stanzas };
}

// deb [options] URI SUITE COMPONENT...
function sourceLine(line, codename) {
  const parts = /^deb\s+(?<options>\[[^\]]*\]\s+)?(?<uri>\S+)\s+(?<suite>\S+)\s+(?<components>[^#]+)/.exec(
    line,
  )?.groups;
  if (!parts || parts.suite !== codename || !parts.components.split(/\s+/).includes('main')) return [];
  return [`deb-src ${parts.options ?? ''}${parts.uri} ${RELEASE} main`];
}

// `Field: value` lines, values going on in indented lines (a key can be in Signed-By).
function sourceStanza(stanza, codename) {
  const fields = stanza
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .split(/\n(?=\S)/)
    .flatMap((field) => {
      const parts = /^(?<name>[\w-]+):(?<value>[\s\S]*)$/.exec(field.trimStart())?.groups;
      return parts ? [[parts.name.toLowerCase(), parts.value.trimEnd()]] : [];
    });
  const field = new Map(fields);
  const words = (name) => (field.get(name) ?? '').trim().split(/\s+/);
  const wanted =
    words('types').includes('deb') &&
    words('suites').includes(codename) &&
    words('components').includes('main');
  if (!wanted || words('enabled')[0] === 'no') return [];
  const kept = ['uris', 'signed-by', 'trusted'].filter((name) => field.has(name));
  const text = kept.map((name) => `${name}:${field.get(name)}`);
  return [['Types: deb-src', `Suites: ${RELEASE}`, 'Components: main', ...text].join('\n')];
}

function textOf(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

function filesOf(folder) {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}
