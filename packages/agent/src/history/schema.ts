import type { DatabaseSync } from 'node:sqlite';

/** Steps from one version of the file to the next; the file's version (`user_version`) is how many were made. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE peers (id INTEGER PRIMARY KEY, peer TEXT NOT NULL UNIQUE, sequence INTEGER NOT NULL DEFAULT 0);
  CREATE TABLE builds (
    origin INTEGER NOT NULL, sequence INTEGER NOT NULL, name TEXT NOT NULL, system TEXT NOT NULL, machine INTEGER NOT NULL,
    at REAL NOT NULL, wall_ms REAL NOT NULL, outcome TEXT NOT NULL, speed REAL, emulated INTEGER, cores INTEGER, cpu_ms REAL,
    memory_bytes REAL, output_bytes REAL, PRIMARY KEY (origin, sequence)
  ) WITHOUT ROWID;
  CREATE INDEX builds_by_name ON builds (name, system, at);
  CREATE INDEX builds_by_time ON builds (at);
  CREATE TABLE names (name TEXT PRIMARY KEY, races_lost INTEGER NOT NULL, lost_at REAL NOT NULL, differed_at REAL NOT NULL)
    WITHOUT ROWID;
  CREATE TABLE outputs (path TEXT PRIMARY KEY, nar_hash TEXT NOT NULL, peer TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
  CREATE INDEX outputs_by_time ON outputs (at);
  `,
];

/** A file written by a newer version of mesh: left as it is. */
export class NewerHistoryError extends Error {
  override readonly name = 'NewerHistoryError';
}

/**
 * Brings the file to this version.
 * @throws NewerHistoryError
 */
export function migrate(database: DatabaseSync): void {
  const row = database.prepare('PRAGMA user_version').get();
  const version = Number(row?.user_version ?? 0);
  if (version > MIGRATIONS.length) {
    throw new NewerHistoryError(
      `The history of builds was written by a newer mesh (version ${version} of the file, this one knows ${MIGRATIONS.length}); update this agent to use it.`,
    );
  }
  for (const [index, step] of MIGRATIONS.entries()) {
    if (index < version) continue;
    database.exec(`BEGIN IMMEDIATE; ${step}; PRAGMA user_version = ${index + 1}; COMMIT;`);
  }
}
