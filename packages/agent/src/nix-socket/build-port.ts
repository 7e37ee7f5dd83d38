import type { BuildInput, BuildOptions, JobEvent } from '@mesh/wire';

/** Where builds go: the agent's own jobs, or an agent that is asked over its local API. */
export interface BuildPort {
  /**
   * Runs a job to its end, which its events tell. Aborting `signal` cancels it.
   * @throws what an agent refuses or cannot finish a job for, with one sentence as its message
   */
  build(job: {
    readonly options: BuildOptions;
    readonly inputs: AsyncIterable<BuildInput>;
    readonly signal: AbortSignal;
    onEvent(event: JobEvent): void;
  }): Promise<void>;
}
