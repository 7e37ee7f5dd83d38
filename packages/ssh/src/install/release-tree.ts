import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { InstallError } from './errors.ts';
import { APP_FOLDER, neededPackages, type Platform, treeVersion } from './package-tree.ts';

/** A file or link of an installed mesh. */
export type ReleaseEntry =
  | { readonly type: 'file'; readonly path: string; readonly source: string }
  | { readonly type: 'link'; readonly path: string; readonly target: string };

/** Types, maps, sources of native code, words: nothing of it is loaded. */
const LEFT_OUT =
  /(\.[cm]?ts|\.tsbuildinfo|\.map|\.md|\.markdown|\.cc?|\.cpp|\.h|\.hh|\.asm|\.S|\.gyp|\.gypi)$/;
const FOLDERS_LEFT_OUT = new Set(['node_modules', 'test', 'tests', '__tests__', '.github']);

/**
 * What a self-contained mesh for such a machine is made of: what was compiled, the packages it needs, Node, the service files. The
 * same shape as a checkout, so that an installed mesh can be copied on. Sorted by path.
 * @param root a built checkout, or an installed mesh
 * @throws InstallError INSTALL_BROKEN_TREE, INSTALL_NO_NODE
 */
export function releaseEntries(root: string, target: Platform): ReleaseEntry[] {
  const entries = new Map<string, ReleaseEntry>();
  const add = (entry: ReleaseEntry) => entries.set(entry.path, entry);
  const addFile = (path: string, source = join(root, path)) => add({ type: 'file', path, source });
  const addFolder = (folder: string): void => {
    for (const path of filesUnder(root, folder)) addFile(path);
  };

  for (const { folder, own, link } of neededPackages(root, target)) {
    if (own) {
      if (!existsSync(join(root, folder, 'dist')))
        throw new InstallError(
          'INSTALL_BROKEN_TREE',
          `The mesh in ${root} cannot be copied: ${folder} is not built; run \`npm run build\` in it.`,
        );
      addFile(`${folder}/package.json`);
      addFolder(`${folder}/dist`);
    } else {
      addFolder(folder);
    }
    if (link !== undefined) add({ type: 'link', path: link, target: relative(dirname(link), folder) });
  }
  for (const command of ['mesh', 'mesh-builder']) {
    addFile(`${APP_FOLDER}/bin/${command}`);
    add({ type: 'link', path: `bin/${command}`, target: `../${APP_FOLDER}/bin/${command}` });
  }
  addFolder('packaging');
  if (existsSync(join(root, 'LICENSE'))) addFile('LICENSE');
  addFile(nodePath(target), nodeFor(root, target));
  return [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Names a release: the version, and a hash over all its files, so that two builds of one version are told apart. */
export function releaseId(root: string, entries: readonly ReleaseEntry[]): string {
  const hash = createHash('sha256');
  for (const entry of entries) {
    const content = entry.type === 'link' ? Buffer.from(entry.target) : readFileSync(entry.source);
    hash.update(`${entry.type} ${entry.path} ${content.length}\n`).update(content);
  }
  return `${treeVersion(root)}-${hash.digest('hex').slice(0, 12)}`;
}

/** Whether a file of the tree may be run. */
export function isExecutable(source: string): boolean {
  return (lstatSync(realpathSync(source)).mode & 0o111) !== 0;
}

/** Where `bin/mesh` looks for Node. */
function nodePath({ platform, arch }: Platform): string {
  return `node_modules/node-${platform}-${arch}/bin/node`;
}

/** Node for such a machine: what npm brought, or the one that runs this, where it stands on its own. */
function nodeFor(root: string, target: Platform): string {
  const own = join(root, nodePath(target));
  if (existsSync(own)) return own;
  const running = realpathSync(process.execPath);
  const same = process.platform === target.platform && process.arch === target.arch;
  // A Node of the store needs the libraries of its closure.
  if (same && !running.startsWith('/nix/store/')) return running;
  throw new InstallError(
    'INSTALL_NO_NODE',
    `There is no Node for ${target.platform}-${target.arch} on this machine: make a bundle with \`node scripts/bundle.mjs --platform ${target.platform} --arch ${target.arch}\` and give it with --bundle, or use the NixOS module or the flake there.`,
  );
}

function filesUnder(root: string, folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((item) => {
    const path = `${folder}/${item.name}`;
    if (item.isDirectory()) return FOLDERS_LEFT_OUT.has(item.name) ? [] : filesUnder(root, path);
    if (item.isSymbolicLink()) {
      // Of a package's own folder: one that leads out of it has nothing to say elsewhere.
      const real = realpathSync(join(root, path));
      return existsSync(real) && !readlinkSync(join(root, path)).startsWith('/') ? [path] : [];
    }
    return LEFT_OUT.test(item.name) ? [] : [path];
  });
}
