import { createWriteStream, readFileSync } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip, gunzipSync } from 'node:zlib';
import * as v from 'valibot';
import { BUNDLE_VERSION } from './constants.ts';
import { InstallError } from './errors.ts';
import type { Platform } from './package-tree.ts';
import { isExecutable, type ReleaseEntry } from './release-tree.ts';
import { type TarEntry, tarStream } from './tar.ts';

/** The first file of a bundle. */
const manifestSchema = v.object({
  version: v.literal(BUNDLE_VERSION),
  /** Of the release: becomes the name of a folder. */
  id: v.pipe(v.string(), v.regex(/^[0-9A-Za-z][0-9A-Za-z.+-]{0,100}$/)),
  platform: v.picklist(['linux', 'darwin']),
  arch: v.picklist(['x64', 'arm64']),
});

/** A self-contained mesh for one kind of machine, as a `.tar.gz`. */
export interface Bundle extends Platform {
  readonly id: string;
  readonly file: string;
  readonly bytes: number;
}

const MANIFEST = 'bundle.json';
/** More than the manifest takes, packed. */
const START_BYTES = 16 * 1024;

/** Packs a release into `file`, which appears when it is whole. `level` is gzip's, 1 to 9. */
export async function writeBundle(
  file: string,
  { id, platform, arch, level }: Platform & { id: string; level: number },
  entries: readonly ReleaseEntry[],
): Promise<Bundle> {
  const manifest = `${JSON.stringify({ version: BUNDLE_VERSION, id, platform, arch })}\n`;
  const unfinished = `${file}.${process.pid}.new`;
  try {
    const gzip = createGzip({ level });
    await pipeline(
      Readable.from(tarStream(contents(manifest, entries))),
      gzip,
      createWriteStream(unfinished),
    );
    await rename(unfinished, file);
  } finally {
    await rm(unfinished, { force: true });
  }
  return { id, platform, arch, file, bytes: (await stat(file)).size };
}

/** Reads what a file is a bundle of. @throws InstallError INSTALL_BAD_BUNDLE */
export async function readBundle(file: string): Promise<Bundle> {
  try {
    const { id, platform, arch } = v.parse(manifestSchema, JSON.parse(await firstFile(file)));
    return { id, platform, arch, file, bytes: (await stat(file)).size };
  } catch (cause) {
    throw new InstallError(
      'INSTALL_BAD_BUNDLE',
      `${file} is no bundle that this mesh can install; make one with \`node scripts/bundle.mjs\`.`,
      { cause },
    );
  }
}

function* contents(manifest: string, entries: readonly ReleaseEntry[]): Generator<TarEntry> {
  yield { type: 'file', path: MANIFEST, executable: false, content: Buffer.from(manifest) };
  for (const entry of entries) {
    if (entry.type === 'link') yield entry;
    else {
      const { path, source } = entry;
      yield { type: 'file', path, executable: isExecutable(source), content: readFileSync(source) };
    }
  }
}

/** The text of an archive's first file, which is in its second block. */
async function firstFile(file: string): Promise<string> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(START_BYTES), 0, START_BYTES, 0);
  // The archive goes on behind what was read.
  const start = gunzipSync(buffer.subarray(0, bytesRead), { finishFlush: constants.Z_SYNC_FLUSH });
  const size = Number.parseInt(start.toString('latin1', 124, 135), 8);
  return start.toString('utf8', 512, 512 + Math.min(size, 512));
}
