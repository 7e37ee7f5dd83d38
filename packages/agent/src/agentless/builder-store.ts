import { type DaemonClient, type DaemonPool, NixError } from '@mesh/nix';
import type { LeaseMessage } from '@mesh/wire';
import { AgentError } from '../errors.ts';
import type { FarStore } from '../worker/far-store.ts';
import type { InputFetcher } from '../worker/held-lease.ts';
import { closureInfos, copyPaths, referencesFirst } from './closure-copy.ts';

export interface BuilderStoreInit {
  /** This machine's peer id. */
  readonly self: string;
  /** `builders-use-substitutes`: what its own substituters have it gets there. */
  readonly useSubstitutes: boolean;
}

export interface BuilderStoreComponents {
  /** This machine's own store. */
  readonly local: DaemonPool;
  readonly fetcher: InputFetcher;
}

/** The store of a machine without an agent, as one that inputs are copied to and outputs are copied from. Many copies run at once. */
export class BuilderStore implements FarStore {
  readonly #init: BuilderStoreInit;
  readonly #components: BuilderStoreComponents;
  /** Paths on their way there, so that builds that share an input send it once. */
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(init: BuilderStoreInit, components: BuilderStoreComponents) {
    this.#init = init;
    this.#components = components;
  }

  async bring(
    lease: LeaseMessage,
    client: DaemonClient,
    options: Parameters<FarStore['bring']>[2],
  ): Promise<{ sources: { peer: string; bytes: number }[] }> {
    const { useSubstitutes, self } = this.#init;
    const paths = lease.inputs.map(({ path }) => path);
    const there = await client.queryValidPaths(paths, useSubstitutes);
    const missing = lease.inputs.filter(({ path }) => !there.has(path));
    // Whom its daemon does not trust may have nothing built but what a derivation in the store says.
    const roots = missing.map(({ path }) => path);
    if (client.trust === 'untrusted') roots.push(lease.drvPath);
    if (roots.length === 0) return { sources: [] };
    await this.#fetchHome(missing, options);
    const bytes = await this.#components.local.use(async (local) => {
      await local.addTempRoots(roots);
      return this.#send(roots, local, client, options);
    });
    return { sources: bytes === 0 ? [] : [{ peer: self, bytes }] };
  }

  async deliver(outputs: readonly string[], client: DaemonClient): Promise<void> {
    await this.#components.local.use(async (local) => {
      await local.addTempRoots(outputs);
      const here = await local.queryValidPaths(outputs);
      const missing = outputs.filter((path) => !here.has(path));
      const infos = await closureInfos(client, missing, async (paths) => local.queryValidPaths(paths));
      await copyPaths(referencesFirst(infos), client, local, { dontCheckSigs: true });
    });
  }

  /** What only other members or substituters have comes here first. */
  async #fetchHome(inputs: LeaseMessage['inputs'], options: Parameters<FarStore['bring']>[2]): Promise<void> {
    const { local, fetcher } = this.#components;
    const here = await local.use(async (client) => client.queryValidPaths(inputs.map(({ path }) => path)));
    const absent = inputs.filter(({ path }) => !here.has(path));
    if (absent.length > 0)
      await fetcher.fetchClosure(absent, {
        ...options,
        onPlan: () => undefined,
        onProgress: () => undefined,
      });
  }

  /** Sends what of these closures is not there. @returns bytes sent */
  async #send(
    roots: readonly string[],
    local: DaemonClient,
    client: DaemonClient,
    options: Parameters<FarStore['bring']>[2],
  ): Promise<number> {
    const infos = await closureInfos(local, roots);
    const there = await client.queryValidPaths(infos.keys(), this.#init.useSubstitutes);
    for (const path of there) infos.delete(path);
    await this.#untilOthersSent(infos, client);
    if (infos.size === 0) return 0;
    const todo = referencesFirst(infos);
    const bytes = todo.reduce((sum, { narSize }) => sum + narSize, 0);
    options.onPlan(todo.length, bytes);
    const sending = copyPaths(todo, local, client, { dontCheckSigs: client.trust !== 'untrusted' }).catch(
      (error: unknown) => {
        throw withRemedy(error);
      },
    );
    for (const { path } of todo) this.#underWay.set(path, sending);
    try {
      await sending;
    } finally {
      for (const { path } of todo) this.#underWay.delete(path);
    }
    return bytes;
  }

  /** Waits for what another build is sending, and leaves out what has arrived by that. */
  async #untilOthersSent(infos: Map<string, unknown>, client: DaemonClient): Promise<void> {
    for (;;) {
      const others = [...infos.keys()].flatMap((path) => this.#underWay.get(path) ?? []);
      if (others.length === 0) return;
      await Promise.allSettled(others);
      for (const path of await client.queryValidPaths(infos.keys())) infos.delete(path);
    }
  }
}

/** An input that nobody signed, and a daemon that does not trust whom it is from. */
function withRemedy(error: unknown): unknown {
  const refusal =
    error instanceof NixError ? /cannot add path .* lacks a signature.*/.exec(error.message) : null;
  if (refusal === null) return error;
  return new AgentError(
    'WORK_MACHINE_FAILURE',
    `an input was refused there, ${refusal[0].replace(/\.$/, '')}: add the user that logs in there to trusted-users in its nix.conf`,
    { cause: error },
  );
}
