import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MAX_STATE_FILE_BYTES } from './constants.ts';
import { codeOf, NetError } from './errors.ts';

/** Writes a file so that a reader, or this machine after a crash, sees the old content or the new and nothing between. Mode 0600. */
export async function writeFileAtomically(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * The JSON in a state file, undefined where there is no such file.
 * @throws {NetError} `NET_STATE_UNREADABLE`
 */
export async function readStateFile(path: string): Promise<unknown> {
  try {
    const { size } = await stat(path);
    if (size > MAX_STATE_FILE_BYTES) throw new Error(`it is ${size} bytes long`);
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new NetError(
      'NET_STATE_UNREADABLE',
      `The state file ${path} cannot be read (${error instanceof Error ? error.message : String(error)}): restore it from a backup or move it away.`,
      { cause: error },
    );
  }
}
