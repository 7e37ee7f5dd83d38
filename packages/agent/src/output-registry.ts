import { type ConnectOptions, DaemonClient, type Derivation, isSuccess, realisations } from '@mesh/nix';
import { AgentError } from './errors.ts';
import type { OutputRegistry } from './home/late-outputs.ts';
import type { OutputRoots } from './worker/output-roots.ts';

/** Whose these outputs are, among what is kept from the garbage collector. */
const TAKEN_IN = 'taken in';

/** What content-addressed derivations came to, as this machine's nix-daemon remembers it. */
export class DaemonOutputRegistry implements OutputRegistry {
  readonly #daemon: Partial<ConnectOptions>;
  readonly #roots: OutputRoots;

  constructor(daemon: Partial<ConnectOptions>, roots: OutputRoots) {
    this.#daemon = daemon;
    this.#roots = roots;
  }

  /** @throws NixError of the daemon; AgentError WORK_MACHINE_FAILURE where it does not find the derivation built then */
  async register(
    drvPath: string,
    made: Derivation | undefined,
    outputs: ReadonlyMap<string, string>,
  ): Promise<void> {
    // It has to find what is there: nothing may be built or asked for elsewhere.
    const options = { maxBuildJobs: 0, useSubstitutes: false, overrides: { builders: '', 'build-hook': '' } };
    this.#roots.retain(TAKEN_IN);
    await this.#roots.keep(TAKEN_IN, [...outputs.values()]);
    this.#roots.releaseSoon(TAKEN_IN);
    const client = await DaemonClient.connect({ ...this.#daemon, options });
    try {
      if (made !== undefined)
        for (const realisation of realisations(drvPath, made, outputs))
          await client.registerDrvOutput(realisation);
      // With inputs that are realised Nix resolves the derivation itself, finds what is registered, and remembers it for both.
      const [result] = await client.buildPathsWithResults([`${drvPath}!*`]);
      if (result !== undefined && isSuccess(result.status)) return;
      throw new AgentError(
        'WORK_MACHINE_FAILURE',
        `nix-daemon does not find ${drvPath} built: ${result?.errorMsg}`,
      );
    } finally {
      client.close();
    }
  }
}
