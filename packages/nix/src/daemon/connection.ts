import { connect, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { NixError, quote } from '../errors.ts';
import {
  CLIENT_FEATURES,
  CLIENT_MAGIC,
  CLOSE_QUIET_MS,
  CLOSE_TIMEOUT_MS,
  DAEMON_MAGIC,
  HANDSHAKE_TIMEOUT_MS,
  MINOR_WITH_FEATURES,
  MINOR_WITH_TRUST,
  OLDEST_MINOR,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
  QUEUE_FULL_PAUSE_MS,
  STALL_TIMEOUT_MS,
} from './constants.ts';
import { ActivityIds, type Emit, readMessages } from './messages.ts';
import { protocolError, WireReader } from './wire-reader.ts';
import { WireWriter } from './wire-writer.ts';

export type Trust = 'trusted' | 'untrusted' | 'unknown';

export interface Handshake {
  /** The older of both sides' versions. */
  readonly protocol: { readonly major: number; readonly minor: number };
  /** What both sides support. */
  readonly features: ReadonlySet<string>;
  /** The daemon's `nix --version` number. */
  readonly nixVersion: string;
  /** Whether the daemon trusts this user; daemons before 2.9 do not say. */
  readonly trust: Trust;
}

export interface ConnectionOptions {
  readonly socketPath: string;
  /** Where the daemon is reached in another way, e.g. as a command on another machine: opens the stream to it. */
  readonly open?: () => Promise<Duplex>;
  /** Gives up connecting; once connected, use `close`. */
  readonly signal?: AbortSignal;
  readonly handshakeTimeoutMs?: number;
  readonly stallTimeoutMs?: number;
}

/** A socket to a nix-daemon after the handshake: one operation at a time, in the order asked for. */
export class DaemonConnection {
  readonly handshake: Handshake;
  readonly #socket: Duplex;
  readonly #reader: WireReader;
  readonly #ids = new ActivityIds();
  #last: Promise<unknown> = Promise.resolve();
  #running = false;
  #closed = false;
  #heardAt = 0;
  readonly #ended = Promise.withResolvers<void>();

  private constructor(socket: Duplex, reader: WireReader, handshake: Handshake) {
    this.#socket = socket;
    this.#reader = reader;
    this.handshake = handshake;
    socket.on('data', () => {
      this.#heardAt = performance.now();
    });
    socket.on('close', () => this.#ended.resolve());
  }

  /**
   * Connects and shakes hands.
   * @throws NixError NIX_DAEMON_UNREACHABLE, NIX_DAEMON_TOO_OLD, NIX_DAEMON_PROTOCOL, NIX_DAEMON_CLOSED, NIX_DAEMON_ERROR
   */
  static async open(options: ConnectionOptions): Promise<DaemonConnection> {
    const deadline = performance.now() + (options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS);
    for (;;) {
      try {
        return await DaemonConnection.#attempt(options);
      } catch (error) {
        if (!isQueueFull(error) || performance.now() > deadline) throw error;
        await sleep(QUEUE_FULL_PAUSE_MS);
      }
    }
  }

  static async #attempt(options: ConnectionOptions): Promise<DaemonConnection> {
    options.signal?.throwIfAborted();
    const socket = await (options.open?.() ?? connect({ path: options.socketPath }));
    options.signal?.throwIfAborted();
    const reader = new WireReader(socket, options.stallTimeoutMs ?? STALL_TIMEOUT_MS);
    socket.on('data', (chunk: Buffer) => reader.push(chunk));
    socket.on('error', (cause: NodeJS.ErrnoException) =>
      reader.fail(options.open === undefined ? connectError(options.socketPath, cause) : closedError()),
    );
    socket.on('close', () => reader.fail(closedError()));
    const give = (reason: Error): void => {
      reader.fail(reason);
      socket.destroy();
    };
    const onAbort = (): void => give(options.signal!.reason as Error);
    const timer = setTimeout(
      () => give(protocolError('no greeting in time')),
      options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
    );
    options.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const handshake = await shakeHands(socket, reader);
      return new DaemonConnection(socket, reader, handshake);
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
    }
  }

  get closed(): boolean {
    return this.#closed || this.#socket.destroyed || this.#socket.readableEnded;
  }

  /** Ends the connection: what runs on it fails at once with NIX_DAEMON_CLOSED, and the daemon kills its builds. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.fail(closedError());
    if (this.#running) this.#destroyWhenQuiet(performance.now() + CLOSE_TIMEOUT_MS);
    else this.#socket.destroy();
  }

  /**
   * A daemon learns of the end by a signal, which it misses in the moment between handling a build's output and
   * waiting for more (Nix up to 2.36; seen with 2.34 in one of a hundred builds closed right after a log line). A
   * build that goes on talking gives it further chances; one that is silent would run on for ever.
   */
  #destroyWhenQuiet(latest: number): void {
    const now = performance.now();
    const quietAt = Math.min(this.#heardAt + CLOSE_QUIET_MS, latest);
    if (now >= quietAt || this.#socket.destroyed) {
      this.#socket.destroy();
      return;
    }
    this.#socket.resume();
    setTimeout(() => this.#destroyWhenQuiet(latest), quietAt - now);
  }

  /** Resolves when the socket is gone: a process that ends before this may leave a build behind. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Keeps the process alive, or not, while the connection idles. */
  unref(): void {
    if (this.#socket instanceof Socket) this.#socket.unref();
  }

  ref(): void {
    if (this.#socket instanceof Socket) this.#socket.ref();
  }

  /**
   * Runs one operation after those before it. An error other than the daemon's own answer leaves the stream at an
   * unknown place, so it ends the connection.
   */
  run<T>(operation: (exchange: Exchange) => Promise<T>): Promise<T> {
    const run = async (): Promise<T> => {
      if (this.closed) throw closedError();
      this.#running = true;
      const exchange = new Exchange(this.#socket, this.#reader, this.#ids);
      try {
        return await operation(exchange);
      } catch (error) {
        if (!(error instanceof NixError && error.code === 'NIX_DAEMON_ERROR') || exchange.broken)
          this.close();
        throw error;
      }
    };
    const result = this.#last.then(run, run);
    this.#last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }
}

/** What an operation may do with the connection while it is its turn. */
export class Exchange {
  readonly reader: WireReader;
  /** Set by an operation whose failure leaves unread or unsent bytes: the connection then ends with it. */
  broken = false;
  readonly #socket: Duplex;
  readonly #ids: ActivityIds;

  constructor(socket: Duplex, reader: WireReader, ids: ActivityIds) {
    this.#socket = socket;
    this.reader = reader;
    this.#ids = ids;
  }

  /** Sends bytes; resolves when more may be sent. */
  async send(...parts: Uint8Array[]): Promise<void> {
    if (this.#socket.destroyed) throw closedError();
    this.#socket.cork();
    let room = true;
    for (const part of parts) room = this.#socket.write(part);
    this.#socket.uncork();
    if (room) return;
    await new Promise<void>((resolve, reject) => {
      const settle = (then: () => void) => (): void => {
        this.#socket.off('drain', onDrain).off('close', onClose);
        then();
      };
      const onDrain = settle(resolve);
      const onClose = settle(() => reject(closedError()));
      this.#socket.on('drain', onDrain).on('close', onClose);
    });
  }

  /** Reads what the daemon tells up to its answer. */
  messages(emit: Emit): Promise<void> {
    return readMessages(this.reader, this.#ids, emit);
  }
}

/** Source: NixOS/nix src/libstore/worker-protocol-connection.cc (order of the exchange since 1.38). */
async function shakeHands(socket: Duplex, reader: WireReader): Promise<Handshake> {
  socket.write(
    new WireWriter()
      .u64(CLIENT_MAGIC)
      .u64((PROTOCOL_MAJOR << 8) | PROTOCOL_MINOR)
      .take(),
  );
  if ((await reader.u64()) !== DAEMON_MAGIC)
    throw protocolError('a greeting that is not the daemon protocol’s');
  const version = await reader.u64();
  const major = Math.floor(version / 256);
  const minor = Math.min(version % 256, PROTOCOL_MINOR);
  if (major !== PROTOCOL_MAJOR)
    throw protocolError(`protocol version ${major}, which this program does not know`);
  if (minor < OLDEST_MINOR) {
    throw new NixError(
      'NIX_DAEMON_TOO_OLD',
      `The nix-daemon speaks protocol 1.${minor}, older than 1.${OLDEST_MINOR}: upgrade to Nix 2.8 or newer.`,
    );
  }
  const rest = new WireWriter();
  let features = new Set<string>();
  if (minor >= MINOR_WITH_FEATURES) {
    socket.write(new WireWriter().strings([...CLIENT_FEATURES].sort()).take());
    const theirs = new Set(await reader.strings(1000));
    features = new Set(CLIENT_FEATURES.filter((feature) => theirs.has(feature)));
  }
  // Processor affinity and reserved space: both obsolete, both still read by every daemon.
  socket.write(rest.u64(0).u64(0).take());
  const nixVersion = await reader.string(1024);
  const trust = minor >= MINOR_WITH_TRUST ? trustOf(await reader.u64()) : 'unknown';
  await readMessages(reader, new ActivityIds(), () => undefined);
  return { protocol: { major, minor }, features, nixVersion, trust };
}

function trustOf(code: number): Trust {
  if (code === 0) return 'unknown';
  if (code === 1) return 'trusted';
  if (code === 2) return 'untrusted';
  throw protocolError(`the unknown trust level ${code}`);
}

function closedError(): NixError {
  return new NixError(
    'NIX_DAEMON_CLOSED',
    'The connection to the nix-daemon ended before it answered: see whether it still runs (systemctl status nix-daemon).',
  );
}

function connectError(socketPath: string, cause: NodeJS.ErrnoException): NixError {
  const at = quote(socketPath);
  switch (cause.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return unreachable(`There is no nix-daemon socket at ${at}: install Nix, or start its daemon.`, cause);
    case 'ECONNREFUSED':
    case 'ENOTSOCK':
      return unreachable(`No nix-daemon listens at ${at}: start it (systemctl start nix-daemon).`, cause);
    case 'EACCES':
    case 'EPERM':
      return unreachable(
        `This user may not connect to the nix-daemon at ${at}: add it to allowed-users in nix.conf.`,
        cause,
      );
    case 'ECONNRESET':
    case 'EPIPE':
      return closedError();
    default:
      return unreachable(
        `The nix-daemon at ${at} cannot be reached (${cause.code ?? cause.message}): check that it runs.`,
        cause,
      );
  }
}

/** The daemon lets five wait while it forks (Nix 2.8), and Linux refuses the sixth at once. */
function isQueueFull(error: unknown): boolean {
  return error instanceof NixError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EAGAIN';
}

function unreachable(message: string, cause: Error): NixError {
  return new NixError('NIX_DAEMON_UNREACHABLE', message, { cause });
}
