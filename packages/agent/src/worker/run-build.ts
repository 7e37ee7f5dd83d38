import {
  type BasicDerivation,
  type BuildResult,
  type DaemonClient,
  type DaemonEvent,
  type DaemonOptions,
  type Derivation,
  encodeBase32,
  isSuccess,
  parseDerivation,
  resolveDerivation,
} from '@mesh/nix';
import type { BuiltOutput, LeaseInput, LeaseMessage } from '@mesh/wire';
import { AgentError } from '../errors.ts';
import { tightest } from '../job/client-settings.ts';
import type { BuildConnection, BuildConnections } from './build-connections.ts';

export interface BuildProgress {
  /** One line; the build's output waits while this does. */
  onLog(line: string): Promise<void>;
  onPhase(phase: string): void;
}

/** What this machine's nix.conf says of every build: a client's options would replace it. */
export interface BuildSettings {
  /** No build gets more; 0 is no limit. */
  cores: number;
  maxSilentTimeSeconds: number;
  /** No build may take longer; 0 is for ever. */
  timeoutSeconds: number;
  /** Whether inputs may come from the daemon's own substituters; without, the mesh brings them. */
  useSubstitutes?: boolean;
  /** Further settings by name. */
  overrides: Readonly<Record<string, string>>;
}

/** How a build ended, as the daemon says it. */
export type BuildEnd =
  | { type: 'built'; outputs: BuiltOutput[]; cpuMs: number | undefined }
  | { type: 'failed'; result: Pick<BuildResult, 'status' | 'errorMsg'>; cpuMs: number | undefined };

export interface BuildInit {
  lease: LeaseMessage;
  connections: BuildConnections;
  settings: BuildSettings;
  signal: AbortSignal;
}

/**
 * One derivation on this machine's own nix-daemon. Has a daemon connection to itself from before the inputs are fetched until the
 * outputs are signed: temporary roots live on it, and closing it kills the build.
 */
export class DerivationBuild implements AsyncDisposable {
  readonly #connection: BuildConnection;
  readonly #init: BuildInit;
  readonly #derivation: Derivation;
  readonly #close = (): void => this.#connection.client.close();
  /** Nothing is under way on the connection, so another build may have it. */
  #settled = false;
  #disposed = false;

  private constructor(connection: BuildConnection, init: BuildInit, derivation: Derivation) {
    this.#connection = connection;
    this.#init = init;
    this.#derivation = derivation;
    init.signal.addEventListener('abort', this.#close, { once: true });
  }

  /** Connects and roots the inputs against garbage collection, present or not. @throws NixError of the daemon */
  static async open(init: BuildInit): Promise<DerivationBuild> {
    init.signal.throwIfAborted();
    const { lease } = init;
    const derivation = parseDerivation(lease.derivation, lease.drvPath);
    const connection = await init.connections.take(optionsFor(init, lease.cores));
    const build = new DerivationBuild(connection, init, derivation);
    try {
      if (init.signal.aborted) throw new AgentError('WORK_CANCELLED', 'The build was cancelled.');
      const unknown = lease.inputs.map((input) => input.path).filter((path) => !connection.atHand.has(path));
      if (unknown.length > 0) await connection.client.addTempRoots(unknown);
      build.#settled = true;
      return build;
    } catch (error) {
      await build[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The inputs that are not in this store; once fetched, they are kept by this build's roots. */
  async missingInputs(): Promise<LeaseInput[]> {
    const { client, atHand } = this.#connection;
    const unknown = this.#init.lease.inputs.filter((input) => !atHand.has(input.path));
    if (unknown.length === 0) return [];
    const valid = await client.queryValidPaths(unknown.map((input) => input.path));
    for (const path of valid) atHand.add(path);
    return unknown.filter((input) => !valid.has(input.path));
  }

  /** The connection it has to itself, while nothing runs on it. */
  get client(): DaemonClient {
    return this.#connection.client;
  }

  /** Output paths that the derivation itself names. */
  get outputPaths(): string[] {
    return [...this.#knownOutputs().values()];
  }

  /** Builds with so many cores, passing on the log as it comes. Never throws for a failed build: that is an end too. */
  async run(cores: number, progress: BuildProgress): Promise<BuildEnd> {
    const { lease, signal, connections } = this.#init;
    this.#settled = false;
    await connections.setOptions(this.#connection, optionsFor(this.#init, cores));
    const result = await this.#build(
      resolveDerivation(
        this.#derivation,
        lease.inputs.map((input) => input.path),
      ),
      progress,
    );
    signal.throwIfAborted();
    this.#settled = true;
    const cpuMs = cpuOf(result);
    if (!isSuccess(result.status)) return { type: 'failed', result, cpuMs };
    const known = this.#knownOutputs();
    const paths = known.size > 0 ? known : result.builtOutputs;
    const { client, atHand } = this.#connection;
    // The daemon roots what it builds on the connection it builds it for.
    for (const path of paths.values()) atHand.add(path);
    const infos = await client.queryPathInfos(paths.values());
    const outputs = [...paths].map(([name, path]) => {
      const info = infos.get(path);
      const narHash = info === undefined ? {} : { narHash: `sha256:${encodeBase32(info.narHash)}` };
      return { name, path, narBytes: info?.narSize ?? 0, ...narHash };
    });
    return { type: 'built', outputs, cpuMs };
  }

  /** Outputs whose paths the derivation itself names. */
  #knownOutputs(): Map<string, string> {
    const known = [...this.#derivation.outputs].filter(([, output]) => output.path !== '');
    return new Map(known.map(([name, output]) => [name, output.path]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#init.signal.removeEventListener('abort', this.#close);
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#settled && !this.#init.signal.aborted) this.#init.connections.giveBack(this.#connection);
    else this.#connection.client.close();
  }

  async #build(derivation: BasicDerivation, progress: BuildProgress): Promise<BuildResult> {
    const { lease } = this.#init;
    const { client } = this.#connection;
    const realise = lease.method === 'realise' || client.trust === 'untrusted';
    if (!realise) return this.#follow(client.buildDerivation(lease.drvPath, derivation, 'normal'), progress);
    const results = await this.#follow(
      client.buildPathsWithResults([`${lease.drvPath}!*`], 'normal'),
      progress,
    );
    const result = results[0];
    if (result === undefined) {
      throw new AgentError('WORK_MACHINE_FAILURE', `nix-daemon gave no result for ${lease.drvPath}.`);
    }
    return result;
  }

  async #follow<T>(call: PromiseLike<T> & AsyncIterable<DaemonEvent>, progress: BuildProgress): Promise<T> {
    for await (const event of call) {
      if (event.type === 'log' && !event.hook) await progress.onLog(event.line);
      else if (event.type === 'phase') progress.onPhase(event.phase);
    }
    return call;
  }
}

function optionsFor({ lease, settings }: BuildInit, cores: number): DaemonOptions {
  const { limits } = lease;
  const wished = tightest(Math.max(1, cores), limits?.cores);
  return {
    maxBuildJobs: 1,
    buildCores: tightest(wished, settings.cores),
    maxSilentTimeSeconds: tightest(settings.maxSilentTimeSeconds, limits?.maxSilentS),
    useSubstitutes: lease.method === 'realise' || settings.useSubstitutes === true,
    // A substituter that offered and then fails is no reason to fail.
    tryFallback: lease.method === 'realise',
    // The daemon's own remote builders would hand the build on behind the mesh's back. Nix 2.34 starts
    // its build hook, a process, for every derivation whose `.drv` is in the store, unless there is no hook either.
    overrides: {
      ...settings.overrides,
      timeout: String(tightest(settings.timeoutSeconds, limits?.timeoutS)),
      builders: '',
      ...(lease.method === 'build' ? { 'build-hook': '' } : {}),
    },
  };
}

/** Processor time as the daemon counted it, which it does where builds have control groups of their own. */
function cpuOf({ cpuUserMs, cpuSystemMs }: BuildResult): number | undefined {
  if (cpuUserMs === undefined && cpuSystemMs === undefined) return undefined;
  return (cpuUserMs ?? 0) + (cpuSystemMs ?? 0);
}
