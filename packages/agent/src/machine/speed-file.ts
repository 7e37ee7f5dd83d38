import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { MAX_SPEED, MIN_SPEED } from './constants.ts';

const MAX_FILE_CHARS = 4_096;

const fileSchema = v.object({
  version: v.literal(1),
  speed: v.pipe(v.number(), v.minValue(MIN_SPEED), v.maxValue(MAX_SPEED)),
  /** Wall clock. */
  measuredMs: v.number(),
  cpuModel: v.string(),
  /** The measurement runs on Node, whose versions differ in speed. */
  nodeVersion: v.string(),
});

/** A measurement and what it holds for, as `speed.json` of the state directory keeps it. */
export type StoredSpeed = Omit<v.InferOutput<typeof fileSchema>, 'version'>;

/** The stored measurement; undefined where there is none that can be read: a new one is made then. */
export async function readSpeedFile(stateDir: string): Promise<StoredSpeed | undefined> {
  try {
    const text = await readFile(pathIn(stateDir), 'utf8');
    return text.length > MAX_FILE_CHARS ? undefined : v.parse(fileSchema, JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Replaces the file whole. */
export async function writeSpeedFile(stateDir: string, stored: StoredSpeed): Promise<void> {
  const temporary = `${pathIn(stateDir)}.${process.pid}.tmp`;
  const content = `${JSON.stringify({ version: 1, ...stored }, null, 1)}\n`;
  await writeFile(temporary, content, { mode: 0o600 });
  await rename(temporary, pathIn(stateDir));
}

function pathIn(stateDir: string): string {
  return join(stateDir, 'speed.json');
}
