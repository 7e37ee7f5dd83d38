import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type Bundle, writeBundle } from './bundle.ts';
import { FAST_GZIP_LEVEL } from './constants.ts';
import { InstallError } from './errors.ts';
import type { Platform } from './package-tree.ts';
import { releaseEntries, releaseId } from './release-tree.ts';

/** Something to install, and its bytes when they are wanted. */
export interface Release {
  readonly kind: 'bundle' | 'store';
  readonly id: string;
  /** As `tar -xzf` or `nix-store --import` takes it. */
  open(): Promise<Readable>;
  /** How many bytes that is; undefined where nobody knows before. */
  readonly bytes: () => number | undefined;
}

/**
 * What this machine can install on others: ready bundles, and its own tree, packed when the first machine lacks it, once for all.
 * A tree that Nix packaged goes as a closure.
 */
export class ReleaseSource implements AsyncDisposable {
  readonly #root: string;
  readonly #bundles: readonly Bundle[];
  readonly #known = new Map<string, Promise<Release>>();
  #work: Promise<string> | undefined;

  /** @param root the tree of the running command: a checkout, an installed mesh, or below `/nix/store` */
  constructor(root: string, bundles: readonly Bundle[] = []) {
    this.#root = root;
    this.#bundles = bundles;
  }

  /** @throws InstallError INSTALL_NO_NODE, INSTALL_BROKEN_TREE */
  for(target: Platform): Promise<Release> {
    const key = `${target.platform}-${target.arch}`;
    const known = this.#known.get(key) ?? this.#find(target);
    this.#known.set(key, known);
    return known;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#work !== undefined) await rm(await this.#work, { recursive: true, force: true });
  }

  async #find(target: Platform): Promise<Release> {
    const ready = this.#bundles.find(
      ({ platform, arch }) => platform === target.platform && arch === target.arch,
    );
    if (ready !== undefined)
      return {
        kind: 'bundle',
        id: ready.id,
        open: async () => createReadStream(ready.file),
        bytes: () => ready.bytes,
      };
    const storePath = /^\/nix\/store\/[^/]+/.exec(this.#root)?.[0];
    return storePath === undefined ? this.#packed(target) : closureOf(storePath, target);
  }

  #packed(target: Platform): Release {
    const entries = releaseEntries(this.#root, target);
    const id = releaseId(this.#root, entries);
    let bundle: Promise<Bundle> | undefined;
    let bytes: number | undefined;
    const pack = async (): Promise<Bundle> => {
      this.#work ??= mkdtemp(join(tmpdir(), 'mesh-install-'));
      const file = join(await this.#work, `${id}-${target.platform}-${target.arch}.tar.gz`);
      const packed = await writeBundle(file, { ...target, id, level: FAST_GZIP_LEVEL }, entries);
      bytes = packed.bytes;
      return packed;
    };
    const open = async (): Promise<Readable> => {
      bundle ??= pack();
      return createReadStream((await bundle).file);
    };
    return { kind: 'bundle', id, open, bytes: () => bytes };
  }
}

function closureOf(storePath: string, target: Platform): Release {
  if (process.platform !== target.platform || process.arch !== target.arch)
    throw new InstallError(
      'INSTALL_NO_NODE',
      `This mesh was built by Nix for ${process.platform}-${process.arch}: use the flake or the NixOS module on ${target.platform}-${target.arch}, or give a --bundle for it.`,
    );
  const open = async (): Promise<Readable> => {
    const script = 'nix-store --export $(nix-store --query --requisites "$1")';
    return spawn('sh', ['-c', script, 'sh', storePath], { stdio: ['ignore', 'pipe', 'inherit'] }).stdout;
  };
  return { kind: 'store', id: storePath, open, bytes: () => undefined };
}
