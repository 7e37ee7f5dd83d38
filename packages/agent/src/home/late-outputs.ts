import type { Clock, Logger } from '@mesh/net';
import type { Derivation } from '@mesh/nix';
import type { HomeEvent } from '@mesh/schedule';
import type { WorkerMessage } from '@mesh/wire';
import type { WithoutNow } from '../step-loop.ts';
import { keptAlive } from './keep-alive.ts';
import type { Plans } from './plans.ts';

type Result = Extract<WorkerMessage, { type: 'result' }>;

/** Makes known to this machine's Nix what a content-addressed derivation came to. */
export interface OutputRegistry {
  /**
   * The outputs are valid here.
   * @param made the derivation with its inputs resolved, where another machine built it; Nix knows what it built itself
   */
  register(
    drvPath: string,
    made: Derivation | undefined,
    outputs: ReadonlyMap<string, string>,
  ): Promise<void>;
}

export interface LateOutputsComponents {
  /** The home's own peer id. */
  self: string;
  plans: Plans;
  clock: Clock;
  logger: Logger;
  registry: OutputRegistry | undefined;
  /** Brings paths and what they refer to into this machine's store. */
  fetch(inputs: readonly { path: string; holders: readonly string[] }[]): Promise<unknown>;
  dispatch(event: WithoutNow<HomeEvent>): void;
}

/**
 * Results of derivations that do not say their output paths: what needs them is built on what they came to, and this machine's Nix has
 * to know of it, so that it finds them built.
 */
export class LateOutputs {
  readonly #components: LateOutputsComponents;

  constructor(components: LateOutputsComponents) {
    this.#components = components;
  }

  /** Takes a result in, and tells the scheduler of it then; what cannot be taken in is the fault of the machine that it came from. */
  async takeIn(peerId: string, drvPath: string, { lease, attempt, outcome }: Result): Promise<void> {
    const { plans, clock, logger, dispatch } = this.#components;
    if (outcome.type !== 'built') throw new Error(`${drvPath} has no outputs to take in`);
    const outputs = new Map(outcome.outputs.map(({ name, path }) => [name, path]));
    const keepAlive = (): void => dispatch({ type: 'heartbeat', peerId, leases: [{ lease, attempt }] });
    try {
      if (plans.of(drvPath)?.floating !== undefined)
        await keptAlive(clock, keepAlive, () => this.#register(peerId, drvPath, outputs));
    } catch (error) {
      logger.warn(
        { err: error, drvPath },
        'what a content-addressed derivation came to could not be taken in',
      );
      const detail = `what it built could not be taken in at home: ${error instanceof Error ? error.message : error}`;
      dispatch({ type: 'returned', peerId, lease, attempt, reason: 'machine', detail });
      return;
    }
    // Its jobs may be over meanwhile.
    if (plans.of(drvPath) !== undefined) plans.made(drvPath, outputs);
    dispatch({ type: 'result', peerId, lease, attempt, outcome });
  }

  async #register(peerId: string, drvPath: string, outputs: ReadonlyMap<string, string>): Promise<void> {
    const { self, plans, registry, fetch } = this.#components;
    if (peerId === self) {
      await registry?.register(drvPath, undefined, outputs);
      return;
    }
    const made = plans.toBuild(drvPath)?.derivation;
    await fetch([...outputs.values()].map((path) => ({ path, holders: [peerId] })));
    await registry?.register(drvPath, made, outputs);
  }
}
