import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './repository.ts';

/** Debian suites hosts can be made of; each brings one version of Nix. */
export const IMAGES = ['sid', 'trixie', 'bookworm'] as const;

/** A suite, or trixie with systemd as its init, with Debian's units of nix-daemon and sshd, and with sudo. */
export type Image = (typeof IMAGES)[number] | 'systemd';

interface ImageTable {
  readonly version: number;
  readonly suites: Readonly<Record<Image, { readonly nix: string }>>;
}

const table = JSON.parse(readFileSync(join(repositoryRoot, 'test/lab/images.json'), 'utf8')) as ImageTable;

/** The Nix version an image has, as `major.minor`. */
export function nixVersionOf(image: Image): string {
  return table.suites[image].nix;
}

/** Where `scripts/setup.mjs` puts an image. */
export function imageDir(image: Image): string {
  const cache = process.env.MESH_LAB_CACHE || '/var/cache/mesh-lab';
  return join(cache, `${image}-v${table.version}`);
}

/** Images appear by a rename when they are complete, so that being there is being whole. */
export function imageIsThere(image: Image): boolean {
  return existsSync(imageDir(image));
}
