import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { SAMPLES_PER_KEY } from '@mesh/schedule';
import type { HistoryMark, HistoryRow } from '@mesh/wire';
import {
  BUSY_TIMEOUT_MS,
  DROP_ROWS,
  LOAD_ROWS,
  MAX_FILE_BYTES,
  MAX_NAMES,
  MAX_OUTPUTS,
  MAX_ROWS,
} from './constants.ts';
import { migrate } from './schema.ts';

/** What is remembered of a name besides its builds. Times: wall-clock milliseconds, 0 for never. */
export interface NameMemory {
  readonly racesLost: number;
  readonly lostAt: number;
  readonly differedAt: number;
}

/** A build's output as it was first seen. */
export interface KnownOutput {
  readonly path: string;
  readonly narHash: string;
  readonly peer: string;
  readonly at: number;
}

const PAGE_BYTES = 4_096;

const ROW = `o.peer AS origin, b.sequence, b.name, b.system, m.peer AS machine, b.at, b.wall_ms, b.outcome, b.speed, b.emulated, b.cores,
  b.cpu_ms, b.memory_bytes, b.output_bytes FROM builds b JOIN peers o ON o.id = b.origin JOIN peers m ON m.id = b.machine`;

/** The file of finished builds: SQLite with a write-ahead log. Every call is short; long ones are cut into pieces by their callers. */
export class HistoryDatabase {
  readonly #database: DatabaseSync;
  readonly #peerIds = new Map<string, number>();
  readonly #statements = new Map<string, StatementSync>();
  /** Rows written since they were counted; counting takes milliseconds. */
  #uncounted = DROP_ROWS;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /**
   * Opens the file, makes it or brings it to this version. `node:sqlite` is loaded here and nowhere else: it costs some milliseconds
   * that only an agent with something to remember spends.
   * @throws NewerHistoryError; an error of SQLite where the file is damaged or cannot be written
   */
  static async open(file: string): Promise<HistoryDatabase> {
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    try {
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
      database.exec(`PRAGMA max_page_count = ${MAX_FILE_BYTES / PAGE_BYTES}`);
      migrate(database);
      return new HistoryDatabase(database);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  close(): void {
    this.#database.close();
  }

  /** All builds, the oldest first, in pieces. */
  *builds(): Generator<HistoryRow[]> {
    let piece: HistoryRow[] = [];
    for (const row of this.#prepare(`SELECT ${ROW} ORDER BY b.at`).iterate()) {
      piece.push(rowOf(row));
      if (piece.length < LOAD_ROWS) continue;
      yield piece;
      piece = [];
    }
    yield piece;
  }

  /** The newest sequence of each origin ever seen, also where the row itself was dropped since. */
  marks(): HistoryMark[] {
    return this.#prepare('SELECT peer AS origin, sequence FROM peers WHERE sequence > 0')
      .all()
      .map((row) => ({ origin: String(row.origin), sequence: Number(row.sequence) }));
  }

  /** Rows newer than these marks, in order of each origin's sequence. */
  since(marks: ReadonlyMap<string, number>, origins: readonly string[], limit: number): HistoryRow[] {
    const rows: HistoryRow[] = [];
    const select = this.#prepare(
      `SELECT ${ROW} WHERE b.origin = ? AND b.sequence > ? ORDER BY b.sequence LIMIT ?`,
    );
    for (const origin of origins) {
      if (rows.length >= limit) break;
      const from = marks.get(origin) ?? 0;
      rows.push(...select.all(this.#peerId(origin), from, limit - rows.length).map(rowOf));
    }
    return rows;
  }

  /** Writes rows, those it has already left alone, and drops what is over the limits. All or nothing. */
  append(rows: readonly HistoryRow[]): void {
    this.#transaction(() => {
      for (const row of rows) this.#insert(row);
      this.#uncounted += rows.length;
      if (this.#uncounted < DROP_ROWS) return;
      this.#uncounted = 0;
      this.#dropOver('builds', MAX_ROWS);
    });
  }

  names(): [string, NameMemory][] {
    return this.#prepare('SELECT * FROM names')
      .all()
      .map((row) => [
        String(row.name),
        {
          racesLost: Number(row.races_lost),
          lostAt: Number(row.lost_at),
          differedAt: Number(row.differed_at),
        },
      ]);
  }

  rememberName(name: string, memory: NameMemory): void {
    this.#prepare('INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?)').run(
      name,
      memory.racesLost,
      memory.lostAt,
      memory.differedAt,
    );
    this.#prepare(
      'DELETE FROM names WHERE name IN (SELECT name FROM names ORDER BY max(lost_at, differed_at) DESC LIMIT -1 OFFSET ?)',
    ).run(MAX_NAMES);
  }

  output(path: string): KnownOutput | undefined {
    const row = this.#prepare('SELECT * FROM outputs WHERE path = ?').get(path);
    return row && { path, narHash: String(row.nar_hash), peer: String(row.peer), at: Number(row.at) };
  }

  /** Outputs seen for the first time; known ones stay as they are. */
  rememberOutputs(outputs: readonly KnownOutput[]): void {
    this.#transaction(() => {
      const insert = this.#prepare('INSERT OR IGNORE INTO outputs VALUES (?, ?, ?, ?)');
      for (const { path, narHash, peer, at } of outputs) insert.run(path, narHash, peer, at);
      this.#dropOver('outputs', MAX_OUTPUTS);
    });
  }

  #insert(row: HistoryRow): void {
    const origin = this.#peerId(row.origin);
    const done = this.#prepare(
      'INSERT OR IGNORE INTO builds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ).run(
      origin,
      row.sequence,
      row.name,
      row.system,
      this.#peerId(row.machine),
      row.at,
      row.wallMs,
      row.outcome,
      row.speed ?? null,
      row.emulated === true ? 1 : null,
      row.cores ?? null,
      row.cpuMs ?? null,
      row.memoryPeakBytes ?? null,
      row.outputBytes ?? null,
    );
    this.#prepare('UPDATE peers SET sequence = max(sequence, ?) WHERE id = ?').run(row.sequence, origin);
    // What predictions do not look at any more is not kept.
    if (done.changes > 0)
      this.#prepare(
        `DELETE FROM builds WHERE (origin, sequence) IN
          (SELECT origin, sequence FROM builds WHERE name = ? AND system = ? ORDER BY at DESC LIMIT -1 OFFSET ?)`,
      ).run(row.name, row.system, SAMPLES_PER_KEY);
  }

  #dropOver(table: 'builds' | 'outputs', limit: number): void {
    const count = Number(this.#prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);
    if (count <= limit) return;
    const key = table === 'builds' ? '(origin, sequence)' : 'path';
    const columns = table === 'builds' ? 'origin, sequence' : 'path';
    this.#prepare(
      `DELETE FROM ${table} WHERE ${key} IN (SELECT ${columns} FROM ${table} ORDER BY at LIMIT ?)`,
    ).run(Math.max(DROP_ROWS, count - limit));
  }

  #peerId(peer: string): number {
    const known = this.#peerIds.get(peer);
    if (known !== undefined) return known;
    this.#prepare('INSERT OR IGNORE INTO peers (peer) VALUES (?)').run(peer);
    const id = Number(this.#prepare('SELECT id FROM peers WHERE peer = ?').get(peer)?.id);
    this.#peerIds.set(peer, id);
    return id;
  }

  #transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      // Ids given out in it are not.
      this.#peerIds.clear();
      // SQLite itself may have rolled back already (disk full).
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function rowOf(row: Record<string, SQLOutputValue>): HistoryRow {
  return {
    origin: String(row.origin),
    sequence: Number(row.sequence),
    name: String(row.name),
    system: String(row.system),
    machine: String(row.machine),
    at: Number(row.at),
    wallMs: Number(row.wall_ms),
    outcome: row.outcome as HistoryRow['outcome'],
    ...(row.speed === null ? {} : { speed: Number(row.speed) }),
    ...(row.emulated === null ? {} : { emulated: true }),
    ...(row.cores === null ? {} : { cores: Number(row.cores) }),
    ...(row.cpu_ms === null ? {} : { cpuMs: Number(row.cpu_ms) }),
    ...(row.memory_bytes === null ? {} : { memoryPeakBytes: Number(row.memory_bytes) }),
    ...(row.output_bytes === null ? {} : { outputBytes: Number(row.output_bytes) }),
  };
}
