import { readFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeasuredSourceRates, type SourceRecord } from './source-rates.ts';

/** What was measured is worth one small write a minute. */
const WRITE_INTERVAL_MS = 60_000;
/** A file larger than its bounded number of records is not ours. */
const MAX_FILE_BYTES = 1024 * 1024;
const VERSION = 1;

/**
 * `<directory>/source-rates.json`: `{version: 1, sources: SourceRecord[]}`. A memory only: an unreadable or unknown file counts as
 * empty, and one that cannot be written is tried again with the next measurement.
 */
export class SourceRatesFile {
  readonly rates: MeasuredSourceRates;
  readonly #directory: string;
  #timer: NodeJS.Timeout | undefined;
  #dirty = false;

  private constructor(directory: string, known: readonly SourceRecord[]) {
    this.#directory = directory;
    this.rates = new MeasuredSourceRates(known, () => this.#changed());
  }

  /** Reads what was kept: a few kilobytes, once, before anything else happens. */
  static open(directory: string): SourceRatesFile {
    return new SourceRatesFile(directory, read(join(directory, 'source-rates.json')));
  }

  /** Writes what is new. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#write();
  }

  #changed(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#timer = setTimeout(() => void this.#write(), WRITE_INTERVAL_MS);
    this.#timer.unref();
  }

  async #write(): Promise<void> {
    if (!this.#dirty) return;
    this.#dirty = false;
    const file = join(this.#directory, 'source-rates.json');
    const temporary = `${file}.tmp`;
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await writeFile(temporary, `${JSON.stringify({ version: VERSION, sources: this.rates.records() })}\n`);
      await rename(temporary, file);
    } catch {
      // A full disk costs the measurements of a minute, nothing else.
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }
}

function read(file: string): SourceRecord[] {
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length > MAX_FILE_BYTES) return [];
    const value = JSON.parse(text) as { version?: unknown; sources?: unknown } | null;
    if (value?.version !== VERSION || !Array.isArray(value.sources)) return [];
    return value.sources.filter(isRecord);
  } catch {
    // None yet, or not one: everything is measured again.
    return [];
  }
}

function isRecord(value: unknown): value is SourceRecord {
  if (!Array.isArray(value) || value.length !== 5) return false;
  const [source, ...figures] = value as unknown[];
  return typeof source === 'string' && figures.every((figure) => Number.isFinite(figure));
}
