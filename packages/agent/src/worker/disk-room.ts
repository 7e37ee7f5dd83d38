import { statfs } from 'node:fs/promises';
import { AgentError } from '../errors.ts';

/** What builds need beside what is known of them: sources unpacked, objects, logs, and the rest of the system. */
const HEAD_ROOM_BYTES = 256 * 1024 * 1024;

/**
 * Refuses what the store's disk has no room for.
 * @param freeBytes undefined where nobody knows
 * @throws AgentError WORK_NO_ROOM
 */
export function checkRoom(freeBytes: number | undefined, inputBytes: number, outputBytes: number): void {
  if (freeBytes === undefined || freeBytes >= inputBytes + outputBytes + HEAD_ROOM_BYTES) return;
  throw new AgentError(
    'WORK_NO_ROOM',
    `No space left on the disk of its store for ${mib(inputBytes)} of inputs, about ${mib(outputBytes)} of outputs and ${mib(HEAD_ROOM_BYTES)} to spare: ${mib(freeBytes)} are free.`,
  );
}

/** Free for this user on the disk of a folder; undefined where nobody says. */
export async function freeBytesOn(path: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

function mib(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
