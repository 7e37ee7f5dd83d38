import type { Logger } from '@mesh/net';
import { DaemonClient, type DaemonEvent, DaemonPool, NixError, type SubstitutableInfo } from '@mesh/nix';
import { messageOf } from '../errors.ts';
import {
  ASKING_CONNECTIONS,
  ASKING_OVERRIDES,
  FETCHING_OVERRIDES,
  ONLY_SOURCE_TIMEOUT_MS,
  PLANNING_TIMEOUT_MS,
  SILENT_FOR_MS,
  SUBSTITUTIONS_AT_ONCE,
} from './constants.ts';

/** What substituters say of a path that is missing here. */
export interface UpstreamOffer {
  /** Bytes to download, and bytes they unpack to. */
  readonly downloadBytes: number;
  readonly narBytes: number;
  readonly references: readonly string[];
}

/** How far a fetch from substituters is: paths that are complete, and NAR bytes that came. */
export interface UpstreamProgress {
  readonly paths: number;
  readonly bytes: number;
}

/** This machine's own substituters, whatever they are. */
export interface Upstream {
  /** Whether there are any. */
  readonly configured: boolean;
  /**
   * Store paths that they offer among what these derivations (`….drv!out`) need, with their NAR bytes (0 where they do not say).
   * Substituters that fail offer nothing.
   */
  offered(wanted: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /**
   * What they offer of the closures of these paths, as far as those are missing here. A path whose closure is offered in part only is
   * left out. Empty where they do not answer in time, and for a while from then on.
   */
  offers(
    paths: readonly string[],
    options?: { readonly signal?: AbortSignal; readonly timeoutMs?: number },
  ): Promise<ReadonlyMap<string, UpstreamOffer>>;
  /**
   * Lets this machine's Nix fetch the paths with all they refer to; what fails holds up nothing else. Who needs them roots them first.
   * @returns the paths that are valid now
   * @throws the signal's reason
   */
  fetch(
    paths: readonly string[],
    options?: { readonly signal?: AbortSignal; readonly onProgress?: (progress: UpstreamProgress) => void },
  ): Promise<ReadonlySet<string>>;
}

export interface DaemonUpstreamInit {
  readonly daemonSocket?: string;
  /** As nix.conf has them. */
  readonly substituters?: readonly string[];
  /** This machine's binary cache for the mesh, which is no source of its own: what members have is asked of them. */
  readonly binaryCache?: { readonly port: number };
}

export interface DaemonUpstreamComponents {
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  readonly logger: Pick<Logger, 'debug' | 'info'>;
}

/** Substituters as this machine's nix-daemon uses them: it checks signatures, and remembers for an hour what they lack. */
export class DaemonUpstream implements Upstream {
  readonly configured: boolean;
  readonly #components: DaemonUpstreamComponents;
  readonly #socket: { readonly socketPath?: string };
  readonly #overrides: Readonly<Record<string, string>>;
  readonly #asking: DaemonPool;
  #silentUntilMs = Number.NEGATIVE_INFINITY;

  constructor(init: DaemonUpstreamInit, components: DaemonUpstreamComponents) {
    const { substituters = [], binaryCache } = init;
    const others = substituters.filter((substituter) => !isOnLoopback(substituter, binaryCache?.port));
    this.configured = others.length > 0;
    this.#components = components;
    this.#socket = init.daemonSocket === undefined ? {} : { socketPath: init.daemonSocket };
    this.#overrides = others.length === substituters.length ? {} : { substituters: others.join(' ') };
    this.#asking = new DaemonPool({
      ...this.#socket,
      max: ASKING_CONNECTIONS,
      // Without the fallback, the first substituter that fails would make the question fail.
      options: { tryFallback: true, overrides: { ...this.#overrides, ...ASKING_OVERRIDES } },
    });
  }

  async offered(wanted: readonly string[]): Promise<ReadonlyMap<string, number>> {
    if (!this.configured || wanted.length === 0) return new Map();
    const limits = { timeoutMs: PLANNING_TIMEOUT_MS };
    const offers = await this.#ask(limits, (client) => askMissing(client, wanted));
    return new Map([...(offers ?? [])].map(([path, { narBytes }]) => [path, narBytes]));
  }

  async offers(
    paths: readonly string[],
    options: { readonly signal?: AbortSignal; readonly timeoutMs?: number } = {},
  ): Promise<ReadonlyMap<string, UpstreamOffer>> {
    if (!this.configured || paths.length === 0) return new Map();
    const limits = { timeoutMs: ONLY_SOURCE_TIMEOUT_MS, ...options };
    const offers = await this.#ask(limits, (client) => askMissing(client, paths));
    return offers ?? new Map();
  }

  async fetch(
    paths: readonly string[],
    options: {
      readonly signal?: AbortSignal;
      readonly onProgress?: (progress: UpstreamProgress) => void;
    } = {},
  ): Promise<ReadonlySet<string>> {
    const { signal, onProgress } = options;
    signal?.throwIfAborted();
    const client = await DaemonClient.connect({
      ...this.#socket,
      options: {
        keepGoing: true,
        // Nix before 2.16 substitutes as many paths at once as it would build.
        maxBuildJobs: SUBSTITUTIONS_AT_ONCE,
        overrides: { ...this.#overrides, ...FETCHING_OVERRIDES },
      },
    });
    const close = (): void => client.close();
    signal?.addEventListener('abort', close, { once: true });
    try {
      signal?.throwIfAborted();
      const meter = new CopyMeter();
      const call = client.buildPathsWithResults(paths);
      for await (const event of call) if (meter.heard(event)) onProgress?.(meter.progress);
      return await client.queryValidPaths(paths);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof NixError)) throw error;
      this.#components.logger.info(
        { reason: messageOf(error) },
        'substituters could not give what they offer',
      );
      return client.closed ? new Set() : await client.queryValidPaths(paths);
    } finally {
      signal?.removeEventListener('abort', close);
      close();
    }
  }

  close(): void {
    this.#asking.close();
  }

  /** Undefined where there was no answer. @throws the signal's reason */
  async #ask<T>(
    { signal, timeoutMs }: { readonly signal?: AbortSignal; readonly timeoutMs: number },
    question: (client: DaemonClient) => Promise<T>,
  ): Promise<T | undefined> {
    const { now, logger } = this.#components;
    if (now() < this.#silentUntilMs) return undefined;
    const timeout = AbortSignal.timeout(timeoutMs);
    const limit = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    try {
      return await this.#asking.use(async (client) => {
        const close = (): void => client.close();
        limit.addEventListener('abort', close, { once: true });
        try {
          limit.throwIfAborted();
          return await question(client);
        } finally {
          limit.removeEventListener('abort', close);
        }
      });
    } catch (error) {
      signal?.throwIfAborted();
      if (!timeout.aborted && !(error instanceof NixError)) throw error;
      this.#silentUntilMs = now() + SILENT_FOR_MS;
      const reason = timeout.aborted ? `no answer within ${timeoutMs} ms` : messageOf(error);
      logger.info({ reason, forMs: SILENT_FOR_MS }, 'substituters are not asked for a while');
      return undefined;
    }
  }
}

async function askMissing(
  client: DaemonClient,
  wanted: readonly string[],
): Promise<Map<string, UpstreamOffer>> {
  // Nix asks about many paths at once here, and one after the other below: by then it knows the answers.
  const { willSubstitute, unknown } = await client.queryMissing(wanted);
  if (willSubstitute.length === 0) return new Map();
  return complete(await client.querySubstitutablePathInfos(willSubstitute), unknown);
}

function isOnLoopback(substituter: string, port: number | undefined): boolean {
  if (port === undefined || !URL.canParse(substituter)) return false;
  const { hostname, port: itsPort } = new URL(substituter);
  return ['127.0.0.1', 'localhost', '[::1]'].includes(hostname) && itsPort === `${port}`;
}

/** Offers whose closure leads to nothing unknown. */
function complete(
  infos: readonly SubstitutableInfo[],
  unknown: readonly string[],
): Map<string, UpstreamOffer> {
  const offers = new Map(infos.map(({ path, ...offer }) => [path, offer]));
  const referrers = new Map<string, string[]>();
  for (const { path, references } of infos)
    for (const reference of references) {
      const known = referrers.get(reference);
      if (known === undefined) referrers.set(reference, [path]);
      else known.push(path);
    }
  const useless = [...unknown];
  for (let path = useless.pop(); path !== undefined; path = useless.pop())
    for (const referrer of referrers.get(path) ?? []) if (offers.delete(referrer)) useless.push(referrer);
  return offers;
}

/** Adds up what the daemon tells of the paths it copies. */
class CopyMeter {
  readonly #bytes = new Map<number, number>();
  #done = 0;
  #paths = 0;

  /** Whether the event told something new. */
  heard(event: DaemonEvent): boolean {
    if (event.type === 'start' && event.activity === 'copy-path') this.#bytes.set(event.id, 0);
    else if (event.type === 'stop' && this.#bytes.has(event.id)) {
      this.#done += this.#bytes.get(event.id)!;
      this.#bytes.delete(event.id);
      this.#paths += 1;
      return true;
    } else if (event.type === 'result' && event.result === 'progress' && this.#bytes.has(event.id)) {
      this.#bytes.set(event.id, Number(event.fields[0]));
      return true;
    }
    return false;
  }

  get progress(): UpstreamProgress {
    let bytes = this.#done;
    for (const coming of this.#bytes.values()) bytes += coming;
    return { paths: this.#paths, bytes };
  }
}
