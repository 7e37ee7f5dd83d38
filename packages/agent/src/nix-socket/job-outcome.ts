import type { ClientBuildResult } from '@mesh/nix';
import type { JobEvent } from '@mesh/wire';
import type { WantedDerivation } from './wanted-derivations.ts';

/** Nix's `BuildResult::Status`. */
const STATUS = { permanentFailure: 3, timedOut: 8, miscFailure: 9, dependencyFailed: 10 } as const;

/** What a client of Nix is answered about the derivations it wanted, from what was heard of their job. */
export class JobOutcome {
  readonly #wanted: readonly WantedDerivation[];
  readonly #failed = new Map<string, string>();
  readonly #skipped = new Set<string>();
  #there: ReadonlySet<string> = new Set();
  #ended = false;
  #noMachine = false;
  #brokeOff: string | undefined;

  constructor(wanted: readonly WantedDerivation[]) {
    this.#wanted = wanted;
  }

  /** Returns the text about a failed derivation that the client did not name, so that it is in no result. */
  hear(event: JobEvent): string | undefined {
    if (event.type === 'finished') {
      if (event.outcome === 'failed') {
        const text = failureText(event.drvPath, event.message, event.logTail);
        this.#failed.set(event.drvPath, text);
        return this.#wanted.some(({ drvPath }) => drvPath === event.drvPath) ? undefined : text;
      }
      if (event.outcome === 'skipped') this.#skipped.add(event.drvPath);
    } else if (event.type === 'job-finished') {
      this.#ended = true;
      this.#noMachine = event.noMachine ?? false;
      this.#there = new Set(event.outputs.map(({ drvPath }) => drvPath));
    }
    return undefined;
  }

  /** The job had no end of its own. */
  brokeOff(message: string): void {
    this.#brokeOff = message;
  }

  /** Results of what was wanted and is not there, by its text. */
  failures(): Map<string, ClientBuildResult> {
    const results = new Map<string, ClientBuildResult>();
    for (const { text, drvPath } of this.#wanted) {
      if (!this.#there.has(drvPath)) results.set(text, this.#resultOf(drvPath));
    }
    return results;
  }

  #resultOf(drvPath: string): ClientBuildResult {
    const failure = this.#failed.get(drvPath);
    if (failure !== undefined) return { status: this.#statusOf(failure), errorMsg: failure };
    if (this.#brokeOff !== undefined && !this.#skipped.has(drvPath))
      return { status: STATUS.miscFailure, errorMsg: reasonText(drvPath, this.#brokeOff) };
    const count = [...this.#failed.keys()].length;
    if (this.#ended && count > 0) {
      const reason = this.#skipped.has(drvPath)
        ? `${count} ${count === 1 ? 'dependency' : 'dependencies'} failed.`
        : 'it was not built, because another build failed.';
      return { status: STATUS.dependencyFailed, errorMsg: reasonText(drvPath, reason) };
    }
    return { status: STATUS.miscFailure, errorMsg: reasonText(drvPath, 'the mesh did not build it.') };
  }

  #statusOf(text: string): number {
    if (this.#noMachine) return STATUS.miscFailure;
    return /timed out after/.test(text) ? STATUS.timedOut : STATUS.permanentFailure;
  }
}

function reasonText(drvPath: string, reason: string): string {
  return `Cannot build '${drvPath}'.\nReason: ${reason}`;
}

/** A daemon's own text names the derivation and has the end of its log; what the mesh says itself gets both. */
function failureText(drvPath: string, message: string | undefined, logTail: readonly string[] = []): string {
  if (message?.includes(drvPath)) return message;
  const head = reasonText(drvPath, message ?? 'build failed');
  if (logTail.length === 0) return head;
  const lines = logTail.map((line) => `> ${line}`).join('\n');
  return `${head}\nLast ${logTail.length} log lines:\n${lines}\nFor full logs, run:\n  nix log ${drvPath}`;
}
