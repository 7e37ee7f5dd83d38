import { rename, rm } from 'node:fs/promises';
import type { Logger } from '@mesh/net';
import { HistoryDatabase } from './database.ts';
import { NewerHistoryError } from './schema.ts';

/** SQLite's result codes for a file that is damaged or none of its own (https://sqlite.org/rescode.html). */
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/**
 * Opens the history; a damaged file is set aside and a new one begun. Undefined where there can be none: the agent then remembers
 * until it ends. `check` reads what will be read later, so that damage shows now.
 */
export async function openHistoryFile(
  file: string,
  logger: Logger,
  check: (database: HistoryDatabase) => Promise<void>,
): Promise<HistoryDatabase | undefined> {
  try {
    return await openAndCheck(file, check);
  } catch (error) {
    if (!isDamage(error)) {
      const message =
        error instanceof NewerHistoryError
          ? error.message
          : 'the history of builds cannot be kept on this disk';
      logger.warn({ err: error, file }, message);
      return undefined;
    }
    const aside = `${file}.damaged`;
    logger.warn({ err: error, file: aside }, 'the history of builds was damaged; set aside, and begun anew');
    try {
      await rename(file, aside);
      // They belong to the damaged file.
      for (const suffix of ['-wal', '-shm']) await rm(file + suffix, { force: true });
      return await openAndCheck(file, check);
    } catch (again) {
      logger.warn({ err: again, file }, 'the history of builds cannot be kept on this disk');
      return undefined;
    }
  }
}

/** Whether this error of SQLite says that the file is damaged. */
export function isDamage(error: unknown): boolean {
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined;
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
}

async function openAndCheck(
  file: string,
  check: (database: HistoryDatabase) => Promise<void>,
): Promise<HistoryDatabase> {
  const database = await HistoryDatabase.open(file);
  try {
    await check(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
