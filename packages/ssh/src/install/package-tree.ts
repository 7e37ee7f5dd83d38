import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import * as v from 'valibot';
import { InstallError } from './errors.ts';

/** A machine that Node runs on, in Node's words (`process.platform`, `process.arch`). */
export interface Platform {
  readonly platform: 'linux' | 'darwin';
  readonly arch: 'x64' | 'arm64';
}

const oneOrMore = v.optional(v.union([v.string(), v.array(v.string())]));
const packageSchema = v.object({
  name: v.string(),
  version: v.optional(v.string()),
  dependencies: v.optional(v.record(v.string(), v.string()), {}),
  optionalDependencies: v.optional(v.record(v.string(), v.string()), {}),
  os: oneOrMore,
  cpu: oneOrMore,
});
type PackageFile = v.InferOutput<typeof packageSchema>;

/** A package that an installed mesh needs. */
export interface NeededPackage {
  /** Its folder, below the root of the tree. */
  readonly folder: string;
  readonly name: string;
  /** A package of the mesh itself, of which only what was compiled is needed. */
  readonly own: boolean;
  /** The link in `node_modules` through which others find it. */
  readonly link?: string;
}

/** The application's folder in a checkout and in an installed tree alike. */
export const APP_FOLDER = 'apps/mesh';

/**
 * What the application in this tree needs to run on such a machine, itself first: followed through the `dependencies` of each
 * `package.json`. Of optional dependencies only those that are for one platform (native code), where they are for this one.
 * @throws InstallError INSTALL_BROKEN_TREE
 */
export function neededPackages(root: string, target: Platform): NeededPackage[] {
  const found = new Map<string, NeededPackage>();
  const visit = (folder: string, link?: string): void => {
    if (found.has(folder)) return;
    const { name, dependencies, optionalDependencies } = readPackage(root, folder);
    const own = !folder.includes('node_modules/');
    found.set(folder, { folder, name, own, ...(link === undefined ? {} : { link }) });
    for (const dependency of Object.keys(dependencies)) {
      if (dependency in optionalDependencies) continue;
      const at = resolvePackage(root, folder, dependency);
      if (at === undefined)
        throw brokenTree(
          root,
          `${dependency}, which ${name} needs, is not there; run \`npm run setup\` in it`,
        );
      visit(at.folder, at.link);
    }
    for (const dependency of Object.keys(optionalDependencies)) {
      const at = resolvePackage(root, folder, dependency);
      if (at !== undefined && isNativeFor(readPackage(root, at.folder), target)) visit(at.folder, at.link);
    }
  };
  visit(APP_FOLDER);
  return [...found.values()];
}

/** The version of the application in this tree. @throws InstallError INSTALL_BROKEN_TREE */
export function treeVersion(root: string): string {
  return readPackage(root, APP_FOLDER).version ?? '0.0.0';
}

/** As Node looks for it: in `node_modules` of the folder and of each one above it. */
function resolvePackage(
  root: string,
  from: string,
  name: string,
): { folder: string; link?: string } | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder === '.' ? '' : folder, 'node_modules', name);
    if (existsSync(join(root, candidate, 'package.json'))) {
      const real = relative(realpathSync(root), realpathSync(join(root, candidate)));
      return real === candidate ? { folder: candidate } : { folder: real, link: candidate };
    }
    if (folder === '.') return undefined;
  }
}

/** Native code for one platform says so by `os` and `cpu`; a package that says neither is compiled on the spot, or not at all. */
function isNativeFor({ os, cpu }: PackageFile, { platform, arch }: Platform): boolean {
  if (os === undefined && cpu === undefined) return false;
  const fits = (list: string | string[] | undefined, value: string) =>
    list === undefined || [list].flat().includes(value);
  return fits(os, platform) && fits(cpu, arch);
}

function readPackage(root: string, folder: string): PackageFile {
  try {
    return v.parse(packageSchema, JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')));
  } catch (cause) {
    throw brokenTree(root, `${folder}/package.json cannot be read`, cause);
  }
}

function brokenTree(root: string, what: string, cause?: unknown): InstallError {
  return new InstallError('INSTALL_BROKEN_TREE', `The mesh in ${root} cannot be copied: ${what}.`, { cause });
}
