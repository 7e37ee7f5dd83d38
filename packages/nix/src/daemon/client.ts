import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { BasicDerivation } from '../basic-derivation.ts';
import { NixError } from '../errors.ts';
import { NarParser } from '../nar-parser.ts';
import type { PathInfo } from '../path-info.ts';
import type { Realisation } from '../realisation.ts';
import { basenameOf, isStorePath, parseStorePath } from '../store-path.ts';
import {
  type BuildResult,
  isSuccess,
  type Missing,
  readBuildResult,
  readMissing,
  readPathInfo,
  readSubstitutableInfos,
  type SubstitutableInfo,
} from './answers.ts';
import { DaemonCall } from './call.ts';
import { type ConnectionOptions, DaemonConnection, type Exchange, type Trust } from './connection.ts';
import {
  DEFAULT_SOCKET_PATH,
  FEATURE_REALISATION_WITH_PATH,
  Operation,
  PATHS_PER_TURN,
} from './constants.ts';
import { type Chunks, sendFramed } from './framed.ts';
import { daemonError, type Emit } from './messages.ts';
import type { AddedPath, AddOptions, BuildMode, DaemonOptions, DerivedPath } from './requests.ts';
import * as request from './requests.ts';
import { protocolError } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

export interface ConnectOptions extends Partial<ConnectionOptions> {
  /** Sent before anything else; see {@link DaemonClient.setOptions}. */
  readonly options?: DaemonOptions;
}

/** A path to add, with its archive. */
export interface AddedItem {
  readonly info: AddedPath;
  readonly nar: Uint8Array | Chunks;
}

/** The result of one wanted path of {@link DaemonClient.buildPathsWithResults}. */
export interface KeyedBuildResult extends BuildResult {
  /** As asked for, with `!` before the outputs. */
  readonly wanted: string;
}

/** More requests on their way than this at once would only fill the socket's buffers. */
const PIPELINED_REQUESTS = 256;

/**
 * A client of one nix-daemon connection. Operations run one after the other, in the order called; a build occupies
 * the connection until it ends, and closing the connection kills it. Temporary roots live as long as the connection.
 *
 * Every operation can throw NixError NIX_BAD_STORE_PATH (nothing was sent), NIX_DAEMON_ERROR (the daemon's own error; the connection stays usable),
 * NIX_DAEMON_CLOSED and NIX_DAEMON_PROTOCOL (it does not).
 */
export class DaemonClient {
  readonly protocol: { readonly major: number; readonly minor: number };
  readonly features: ReadonlySet<string>;
  readonly nixVersion: string;
  /** Whether the daemon takes unsigned paths and input-addressed builds from this user. */
  readonly trust: Trust;
  readonly #connection: DaemonConnection;

  private constructor(connection: DaemonConnection) {
    this.#connection = connection;
    ({
      protocol: this.protocol,
      features: this.features,
      nixVersion: this.nixVersion,
      trust: this.trust,
    } = connection.handshake);
  }

  /**
   * Connects, shakes hands and sets the options.
   * @throws NixError NIX_DAEMON_UNREACHABLE, NIX_DAEMON_TOO_OLD, and those of every operation
   */
  static async connect(options: ConnectOptions = {}): Promise<DaemonClient> {
    const client = new DaemonClient(
      await DaemonConnection.open({ ...options, socketPath: options.socketPath ?? DEFAULT_SOCKET_PATH }),
    );
    try {
      await client.setOptions(options.options ?? {});
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  /** Ends the connection: a running operation fails at once with NIX_DAEMON_CLOSED, and its build is killed. */
  close(): void {
    this.#connection.close();
  }

  /** Resolves when the connection is really gone, up to a quarter of a second after {@link close}: wait before exiting. */
  get ended(): Promise<void> {
    return this.#connection.ended;
  }

  /** Whether an idle connection keeps the process alive. */
  keepAlive(keep: boolean): void {
    if (keep) this.#connection.ref();
    else this.#connection.unref();
  }

  /** Replaces all options of this connection; those not given return to their defaults. */
  setOptions(options: DaemonOptions): DaemonCall<void> {
    return this.#ask(request.setOptionsRequest(options), async () => undefined);
  }

  isValidPath(path: string): DaemonCall<boolean> {
    return this.#ask(request.pathRequest(Operation.IsValidPath, path), ({ reader }) => reader.flag());
  }

  /** Which of the paths are valid; with `substitute`, those that can be substituted are fetched first. */
  queryValidPaths(paths: Iterable<string>, substitute = false): DaemonCall<Set<string>> {
    return this.#ask(
      request.queryValidPathsRequest([...paths], substitute),
      async ({ reader }) => new Set(await reader.storePaths()),
    );
  }

  /**
   * Every valid path, one by one as the answer is read, so that a large store needs no memory; the event loop turns now and then.
   * @param begin told how many paths follow, returns what takes each
   */
  queryAllValidPaths(begin: (count: number) => (path: string) => void): DaemonCall<void> {
    return this.#ask(request.plainRequest(Operation.QueryAllValidPaths), async ({ reader }) => {
      const count = await reader.count();
      const take = begin(count);
      for (let read = 1; read <= count; read++) {
        take(await reader.storePath());
        if (read % PATHS_PER_TURN === 0) await turnOfTheLoop();
      }
    });
  }

  /** What the store knows of a path; undefined where it is not valid. */
  queryPathInfo(path: string): DaemonCall<PathInfo | undefined> {
    return this.#ask(request.pathRequest(Operation.QueryPathInfo, path), (exchange) =>
      readOptionalPathInfo(exchange, path),
    );
  }

  /** As {@link queryPathInfo} for many paths in one round trip; paths that are not valid are left out. */
  queryPathInfos(paths: Iterable<string>): DaemonCall<Map<string, PathInfo>> {
    const infos = new Map<string, PathInfo>();
    return this.#askMany(
      [...paths],
      pathRequestOf(Operation.QueryPathInfo),
      infos,
      async (exchange, path) => {
        const info = await readOptionalPathInfo(exchange, path);
        if (info !== undefined) infos.set(path, info);
      },
    );
  }

  /** The valid paths with these hash parts, by hash part, in one round trip; those without a valid path are left out. */
  queryPathsFromHashParts(hashParts: Iterable<string>): DaemonCall<Map<string, string>> {
    const paths = new Map<string, string>();
    const requestOf = (hashPart: string) =>
      request.hashPartRequest(Operation.QueryPathFromHashPart, hashPart);
    return this.#askMany([...hashParts], requestOf, paths, async ({ reader }, hashPart) => {
      const path = await reader.string();
      if (path === '') return;
      if (!isStorePath(path)) throw protocolError('something that is not a store path where one belongs');
      paths.set(hashPart, path);
    });
  }

  /** What would have to be built and fetched to have these. */
  queryMissing(wanted: Iterable<DerivedPath>): DaemonCall<Missing> {
    return this.#ask(request.queryMissingRequest([...wanted]), ({ reader }) => readMissing(reader));
  }

  /** What this daemon's substituters say of the paths, one path after the other; those they do not have are left out. */
  querySubstitutablePathInfos(paths: Iterable<string>): DaemonCall<SubstitutableInfo[]> {
    return this.#ask(request.querySubstitutablePathInfosRequest([...paths]), ({ reader }) =>
      readSubstitutableInfos(reader),
    );
  }

  /** Keeps the path from garbage collection while this connection lives. The path need not exist yet. */
  addTempRoot(path: string): DaemonCall<void> {
    return this.#ask(request.pathRequest(Operation.AddTempRoot, path), readDone);
  }

  /** As {@link addTempRoot} for many paths in one round trip. */
  addTempRoots(paths: Iterable<string>): DaemonCall<void> {
    return this.#askMany([...paths], pathRequestOf(Operation.AddTempRoot), undefined, readDone);
  }

  /** Registers a symbolic link (absolute path) as a garbage collector root, as `nix-store --add-root --indirect`. */
  addIndirectRoot(link: string): DaemonCall<void> {
    return this.#ask(request.textRequest(Operation.AddIndirectRoot, link), readDone);
  }

  /**
   * Builds one derivation from inputs that are all valid. Input-addressed ones need a trusted user.
   * A failed build is a result, not an error. `builtOutputs` is complete for every success whose paths are known.
   */
  buildDerivation(
    drvPath: string,
    drv: BasicDerivation,
    mode: BuildMode = 'normal',
  ): DaemonCall<BuildResult> {
    return this.#ask(request.buildDerivationRequest(drvPath, drv, mode), async ({ reader }) => {
      const result = await readBuildResult(reader, this.#connection.handshake);
      if (isSuccess(result.status)) {
        for (const [name, { path }] of drv.outputs) {
          if (path !== '' && !result.builtOutputs.has(name)) result.builtOutputs.set(name, path);
        }
      }
      return result;
    });
  }

  /** Realises paths and the outputs of derivations that are valid in this store. */
  buildPathsWithResults(
    wanted: Iterable<DerivedPath>,
    mode: BuildMode = 'normal',
  ): DaemonCall<KeyedBuildResult[]> {
    return this.#ask(request.buildPathsRequest([...wanted], mode), async ({ reader }) => {
      const results: KeyedBuildResult[] = [];
      for (let left = await reader.count(); left > 0; left--) {
        const path = await reader.string();
        results.push({ ...(await readBuildResult(reader, this.#connection.handshake)), wanted: path });
      }
      return results;
    });
  }

  /**
   * The NAR of a valid path, as it comes. Leaving the iteration early closes the connection.
   * @throws NixError NIX_BAD_NAR besides those of every operation; NIX_DAEMON_ERROR where the path is not valid
   */
  async *narFromPath(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    parseStorePath(path);
    const turn = Promise.withResolvers<Exchange>();
    const left = Promise.withResolvers<void>();
    const ended = this.#connection.run(async (exchange) => {
      // A daemon that finds out too late ends the connection without a word, hence the question first.
      await exchange.send(request.pathRequest(Operation.IsValidPath, path));
      await exchange.messages(drop);
      if (!(await exchange.reader.flag())) throw daemonError(`path '${path}' is not valid`);
      exchange.broken = true;
      await exchange.send(request.pathRequest(Operation.NarFromPath, path));
      await exchange.messages(drop);
      turn.resolve(exchange);
      await left.promise;
    });
    ended.catch(turn.reject);
    const exchange = await turn.promise;
    const parser = new NarParser();
    try {
      while (!parser.done) {
        const chunk = await exchange.reader.chunk();
        const used = parser.push(chunk);
        exchange.reader.unread(chunk.subarray(used));
        yield chunk.subarray(0, used);
      }
      exchange.broken = false;
    } finally {
      if (!parser.done) this.close();
      left.resolve();
    }
    await ended;
  }

  /** Adds a path with its archive, of which exactly `info.narSize` bytes must come. */
  addToStoreNar(info: AddedPath, nar: Uint8Array | Chunks, options: AddOptions = {}): DaemonCall<void> {
    return this.#call(async (exchange, emit) => {
      await exchange.send(request.addToStoreNarRequest(info, options));
      await sendFramed(exchange, exactly(info, nar), emit);
    });
  }

  /**
   * Adds paths in one stream, references before what refers to them.
   * @param count how many items there are: the protocol wants it first
   */
  addMultipleToStore(
    items: Iterable<AddedItem> | AsyncIterable<AddedItem>,
    count: number,
    options: AddOptions = {},
  ): DaemonCall<void> {
    return this.#call(async (exchange, emit) => {
      await exchange.send(request.addMultipleToStoreRequest(options));
      await sendFramed(exchange, itemChunks(items, count), emit);
    });
  }

  /** Stores a build log, so that `nix log` finds it. Needs a trusted user. */
  addBuildLog(drvPath: string, log: Uint8Array | Chunks): DaemonCall<void> {
    return this.#call(async (exchange, emit) => {
      await exchange.send(request.textRequest(Operation.AddBuildLog, basenameOf(drvPath)));
      await sendFramed(exchange, chunksOf(log), emit);
      await readDone(exchange);
    });
  }

  /** Adds signatures (`name:base64`) to a valid path. */
  addSignatures(path: string, signatures: readonly string[]): DaemonCall<void> {
    return this.#ask(request.addSignaturesRequest(path, signatures), readDone);
  }

  /**
   * The paths of a valid derivation's outputs by name, where they are known: from the start, or since the output was realised.
   * They need not be valid.
   */
  queryDerivationOutputMap(drvPath: string): DaemonCall<Map<string, string>> {
    return this.#ask(request.pathRequest(Operation.QueryDerivationOutputMap, drvPath), async ({ reader }) => {
      const outputs = new Map<string, string>();
      for (let left = await reader.count(); left > 0; left--) {
        const name = await reader.string();
        const path = await reader.string();
        if (path !== '') outputs.set(name, path);
      }
      return outputs;
    });
  }

  /** Makes known what a content-addressed output, which is valid here, came to. Needs a trusted user and `ca-derivations`. */
  registerDrvOutput(realisation: Realisation): DaemonCall<void> {
    const byPath = this.features.has(FEATURE_REALISATION_WITH_PATH);
    return this.#ask(request.registerDrvOutputRequest(realisation, byPath), async () => undefined);
  }

  #call<T>(operation: (exchange: Exchange, emit: Emit) => Promise<T>): DaemonCall<T> {
    return new DaemonCall((emit) => this.#connection.run((exchange) => operation(exchange, emit)));
  }

  #ask<T>(bytes: Uint8Array, answer: (exchange: Exchange) => Promise<T>): DaemonCall<T> {
    return this.#call(async (exchange, emit) => {
      await exchange.send(bytes);
      await exchange.messages(emit);
      return answer(exchange);
    });
  }

  /** Sends many requests before reading their answers, which come in the same order. */
  #askMany<T>(
    things: readonly string[],
    requestOf: (thing: string) => Uint8Array,
    result: T,
    answer: (exchange: Exchange, thing: string) => Promise<void>,
  ): DaemonCall<T> {
    const requests = things.map(requestOf);
    return this.#call(async (exchange, emit) => {
      for (let from = 0; from < things.length; from += PIPELINED_REQUESTS) {
        const batch = things.slice(from, from + PIPELINED_REQUESTS);
        // Answers to the rest of the batch would stay unread after an error.
        exchange.broken = true;
        await exchange.send(...requests.slice(from, from + PIPELINED_REQUESTS));
        for (const thing of batch) {
          await exchange.messages(emit);
          await answer(exchange, thing);
        }
        exchange.broken = false;
      }
      return result;
    });
  }
}

const pathRequestOf = (operation: number) => (path: string) => request.pathRequest(operation, path);

const drop: Emit = () => undefined;

async function readDone({ reader }: Exchange): Promise<void> {
  if ((await reader.u64()) !== 1) throw protocolError('something else than "done"');
}

async function readOptionalPathInfo({ reader }: Exchange, path: string): Promise<PathInfo | undefined> {
  return (await reader.flag()) ? readPathInfo(reader, path) : undefined;
}

function chunksOf(data: Uint8Array | Chunks): Chunks {
  return data instanceof Uint8Array ? [data] : data;
}

/** Too many or too few bytes would be read by the daemon as the start of the next path. */
async function* exactly(info: AddedPath, nar: Uint8Array | Chunks): AsyncGenerator<Uint8Array> {
  let left = info.narSize;
  for await (const chunk of chunksOf(nar)) {
    left -= chunk.length;
    if (left < 0) break;
    yield chunk;
  }
  if (left !== 0) {
    throw new NixError(
      'NIX_BAD_NAR',
      `The archive of ${info.path} has not the ${info.narSize} bytes announced: fetch the path from elsewhere.`,
    );
  }
}

async function* itemChunks(
  items: Iterable<AddedItem> | AsyncIterable<AddedItem>,
  count: number,
): AsyncGenerator<Uint8Array> {
  yield new WireWriter().u64(count).take();
  let sent = 0;
  for await (const { info, nar } of items) {
    sent += 1;
    if (sent > count) break;
    yield request.writePathInfo(new WireWriter(), info).take();
    yield* exactly(info, nar);
  }
  if (sent !== count)
    throw new Error(`addMultipleToStore was promised ${count} paths and given another number`);
}
