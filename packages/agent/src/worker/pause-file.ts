import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { AgentError } from '../errors.ts';

/** Longest reason an owner may give; it goes into every member's listing. */
export const MAX_PAUSE_REASON_CHARS = 100;
const MAX_FILE_CHARS = 4_096;

const fileSchema = v.object({
  version: v.literal(1),
  /** Unix time; absent: until `mesh resume`. */
  untilMs: v.optional(v.pipe(v.number(), v.finite())),
  reason: v.optional(v.pipe(v.string(), v.maxLength(MAX_PAUSE_REASON_CHARS))),
});

/** The owner takes this machine away from others for a while. */
export interface Pause {
  /** Unix time; absent: until it is resumed. */
  readonly untilMs?: number | undefined;
  readonly reason?: string | undefined;
}

/** The pause in `pause.json` of the state directory, which outlives the agent. @throws AgentError AGENT_BAD_STATE for a file that cannot be read */
export async function readPause(stateDir: string): Promise<Pause | undefined> {
  const path = pathIn(stateDir);
  try {
    const text = await readFile(path, 'utf8');
    if (text.length > MAX_FILE_CHARS) throw new Error(`it is ${text.length} characters long`);
    const { untilMs, reason } = v.parse(fileSchema, JSON.parse(text));
    return { untilMs, reason };
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError('AGENT_BAD_STATE', `${path} cannot be read (${why}); remove it to resume.`, {
      cause,
    });
  }
}

/** Replaces the file whole; without a pause there is none. */
export async function writePause(stateDir: string, pause: Pause | undefined): Promise<void> {
  const path = pathIn(stateDir);
  if (pause === undefined) return rm(path, { force: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, `${JSON.stringify({ version: 1, ...pause })}\n`, { mode: 0o600 });
  await rename(temporary, path);
}

function pathIn(stateDir: string): string {
  return join(stateDir, 'pause.json');
}
