import type { DaemonClient } from '@mesh/nix';
import type { LeaseMessage } from '@mesh/wire';

/** The store builds run in where that is not this machine's: what they need is brought there, and what they make is taken home. */
export interface FarStore {
  /**
   * Brings what a lease needs into the store that `client` speaks for; its inputs are rooted on that connection.
   * @throws NixError, TransferError
   */
  bring(
    lease: LeaseMessage,
    client: DaemonClient,
    options: { signal: AbortSignal; onPlan(paths: number, bytes: number): void },
  ): Promise<{ sources: { peer: string; bytes: number }[] }>;
  /** Copies outputs, and what they refer to, into this machine's store. @throws NixError */
  deliver(outputs: readonly string[], client: DaemonClient): Promise<void>;
}
