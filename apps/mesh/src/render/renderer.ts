import type { JobEvent } from '@mesh/wire';

/** Shows a job while it runs: events in, text out. The only thing that differs between a terminal, a pipe and a program. */
export interface Renderer {
  event(event: JobEvent): void;
  /** A sentence of the command itself, beside the job's own events. */
  note(message: string): void;
  /** Leaves the terminal as it was; nothing is shown afterwards. May be called more than once. */
  close(): void;
}

export interface RenderOptions {
  /** Also what machines were chosen and why, fetches, and what was there already. */
  verbose: boolean;
  /** Log lines of every build, as `name> line`. */
  logs: boolean;
  /** Nothing is built: the plan is the answer, and there is no sum at the end. */
  dryRun: boolean;
}
