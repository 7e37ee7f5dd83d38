import { BuildLog } from './build-log.ts';

/**
 * The logs of a job's derivations. What is shown, followed and stored of one is the log of a single lease, the leading one; a racer's
 * lines wait beside it until the racer leads.
 */
export class JobLogs {
  readonly #shown = new Map<string, BuildLog>();
  /** The leading lease of each derivation. */
  readonly #leading = new Map<string, string>();
  readonly #aside = new Map<string, BuildLog>();

  get(drvPath: string): BuildLog | undefined {
    return this.#shown.get(drvPath);
  }

  /** The log of a derivation, empty where nothing was said yet. */
  of(drvPath: string): BuildLog {
    const log = this.#shown.get(drvPath) ?? new BuildLog();
    this.#shown.set(drvPath, log);
    return log;
  }

  /** Derivations that have a log. */
  keys(): IterableIterator<string> {
    return this.#shown.keys();
  }

  leads(drvPath: string, lease: string): boolean {
    return this.#leading.get(drvPath) === lease;
  }

  /** From now on this lease's log is the derivation's. Returns what it had said already. */
  lead(drvPath: string, lease: string): readonly string[] {
    if (this.leads(drvPath, lease)) return [];
    this.#leading.set(drvPath, lease);
    const said = this.#aside.get(lease)?.lines() ?? [];
    this.#aside.delete(lease);
    this.#shown.get(drvPath)?.restart();
    if (said.length > 0) this.of(drvPath).append(said);
    return said;
  }

  append(drvPath: string, lease: string, lines: readonly string[]): void {
    if (this.leads(drvPath, lease)) {
      this.of(drvPath).append(lines);
      return;
    }
    const log = this.#aside.get(lease) ?? new BuildLog();
    this.#aside.set(lease, log);
    log.append(lines);
  }

  /** What a racer is at is not known any more when it leads. */
  phase(drvPath: string, lease: string, phase: string): void {
    if (this.leads(drvPath, lease)) this.of(drvPath).phase(phase);
  }

  /** A lease is over that does not lead: nobody will ask what it said. */
  forget(lease: string): void {
    this.#aside.delete(lease);
  }

  delete(drvPath: string): void {
    this.#shown.delete(drvPath);
    this.#leading.delete(drvPath);
  }

  /** No log grows any more. */
  endAll(): void {
    this.#aside.clear();
    for (const log of this.#shown.values()) if (!log.ended) log.end();
  }
}
