import { timingSafeEqual } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import ssh2, { type AuthContext, type Connection, type ServerChannel, type Session } from 'ssh2';
import { SshError } from '../errors.ts';
import {
  CIPHERS,
  EXIT_REFUSED,
  KEEPALIVE_COUNT,
  KEEPALIVE_MS,
  LOGIN_TIMEOUT_MS,
  MAX_CONNECTIONS,
  MAX_LOGIN_TRIES,
  MAX_SESSIONS,
} from './constants.ts';
import type { SshHostKey } from './host-key.ts';
import { askedCommand } from './nix-command.ts';

/** Somebody who may come in. */
export interface AuthorizedKey {
  /** Who that is; one name may have several keys. */
  readonly name: string;
  /** A line of `authorized_keys` without options: `ssh-ed25519 AAAA… comment`. */
  readonly key: string;
}

export interface SshServerInit<Key extends AuthorizedKey> {
  readonly hostKey: SshHostKey;
  /** 0 is any free one. */
  readonly port: number;
  /** All addresses where absent. */
  readonly address?: string | undefined;
  readonly keys: readonly Key[];
}

export interface SshServerEvents<Key extends AuthorizedKey> {
  /** Serves the worker protocol until the stream is closed, which it is when the client is gone. */
  serve(key: Key, stream: Duplex): Promise<void>;
  /** Something that its owner may want to know of: a key that was refused, a broken connection. */
  noted(what: string, about: Readonly<Record<string, unknown>>): void;
}

/** An SSH server that lets keys in and gives them the worker protocol of Nix: no password, shell, terminal, forwarding or environment. */
export class SshServer<Key extends AuthorizedKey> {
  readonly #init: SshServerInit<Key>;
  readonly #events: SshServerEvents<Key>;
  readonly #keys: readonly {
    readonly key: Key;
    readonly type: string;
    readonly blob: Buffer;
    verify: Verify;
  }[];
  readonly #sockets = new Set<Socket>();
  #listener: Server | undefined;

  /** @throws SshError SSH_BAD_CONFIG: names the key that is none */
  constructor(init: SshServerInit<Key>, events: SshServerEvents<Key>) {
    this.#init = init;
    this.#events = events;
    this.#keys = init.keys.map((key) => ({ key, ...parsedKey(key) }));
  }

  /** The TCP port listened on; undefined before the start. */
  get port(): number | undefined {
    const address = this.#listener?.address();
    return typeof address === 'object' && address !== null ? address.port : undefined;
  }

  /** @throws what listening throws */
  async start(): Promise<void> {
    const { port, address, hostKey } = this.#init;
    const options = {
      hostKeys: [hostKey.privateKey],
      ident: 'mesh',
      algorithms: { cipher: [...CIPHERS] },
      keepaliveInterval: KEEPALIVE_MS,
      keepaliveCountMax: KEEPALIVE_COUNT,
    };
    const server = new ssh2.Server(options, (connection) => this.#welcome(connection));
    const listener = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket));
      const timer = setTimeout(() => {
        if (!this.#let.has(socket)) socket.destroy();
      }, LOGIN_TIMEOUT_MS);
      socket.on('close', () => clearTimeout(timer));
      this.#arriving = socket;
      server.injectSocket(socket);
      this.#arriving = undefined;
    });
    listener.maxConnections = MAX_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen({ port, ...(address === undefined ? {} : { host: address }) }, resolve);
    });
    this.#listener = listener;
  }

  async stop(): Promise<void> {
    const listener = this.#listener;
    for (const socket of this.#sockets) socket.destroy();
    if (listener !== undefined) await new Promise((resolve) => listener.close(resolve));
  }

  /** Connections that have shown a key. */
  readonly #let = new WeakSet<Socket>();
  #arriving: Socket | undefined;

  #welcome(connection: Connection): void {
    // ssh2 makes the connection while it is given the socket.
    const socket = this.#arriving;
    let tries = 0;
    let sessions = 0;
    let who: Key | undefined;
    connection.on('error', (error) =>
      this.#events.noted('an SSH connection broke off', { reason: error.message }),
    );
    connection.on('authentication', (context) => {
      const found = this.#admitted(context);
      if (found !== undefined) {
        who = found;
        context.accept();
        return;
      }
      // A client that asks what there is has offered nothing yet.
      if (context.method !== 'none') tries += 1;
      context.reject(['publickey']);
      if (tries < MAX_LOGIN_TRIES) return;
      this.#events.noted('somebody offered too many keys', { user: context.username });
      connection.end();
    });
    connection.on('ready', () => {
      const key = who;
      if (key === undefined) {
        connection.end();
        return;
      }
      if (socket !== undefined) this.#let.add(socket);
      connection.on('session', (accept, reject) => {
        if (sessions >= MAX_SESSIONS) {
          reject();
          return;
        }
        sessions += 1;
        const session = accept();
        session.on('close', () => {
          sessions -= 1;
        });
        this.#listen(session, key);
      });
      // Forwarding of any kind is refused by ssh2 where nobody listens for it.
    });
  }

  #admitted(context: AuthContext): Key | undefined {
    if (context.method !== 'publickey') return undefined;
    const { key, signature, blob } = context;
    const found = this.#keys.find(
      (known) =>
        known.type === key.algo &&
        known.blob.length === key.data.length &&
        timingSafeEqual(known.blob, key.data),
    );
    if (found === undefined) return undefined;
    // Without a signature the client asks whether this key would do; ssh2 lets nobody in for that.
    if (signature === undefined || blob === undefined) return found.key;
    return found.verify(blob, signature, context.hashAlgo) ? found.key : undefined;
  }

  #listen(session: Session, key: Key): void {
    session.on('exec', (accept, _reject, { command }) => {
      const stream = accept();
      // A client that goes is seen by 'close'.
      stream.on('error', () => undefined);
      const asked = askedCommand(command);
      if (asked.type === 'refused') {
        refuse(stream, asked.reason);
        return;
      }
      this.#events
        .serve(key, stream)
        .catch((error: unknown) =>
          this.#events.noted('a session of the front door broke off', { err: error }),
        )
        .finally(() => {
          if (stream.destroyed) return;
          stream.exit(0);
          stream.end();
        });
    });
    session.on('shell', (accept) => {
      refuse(
        accept(),
        'there is no shell behind the front door of the mesh; use it as ssh-ng:// store or builder of Nix.',
      );
    });
    // What is asked beside a command is refused without a word, as sshd refuses it.
    for (const request of ['pty', 'env', 'x11', 'subsystem', 'sftp', 'auth-agent'] as const)
      session.on(request as 'pty', (_accept, reject) => reject?.());
  }
}

type Verify = (blob: Buffer, signature: Buffer, hash: string | undefined) => boolean;

function refuse(stream: ServerChannel, reason: string): void {
  stream.stderr.write(`mesh: ${reason}\n`);
  stream.exit(EXIT_REFUSED);
  stream.end();
}

function parsedKey({ key, name }: AuthorizedKey): { type: string; blob: Buffer; verify: Verify } {
  const parsed = ssh2.utils.parseKey(key);
  if (parsed instanceof Error || parsed.isPrivateKey()) {
    throw new SshError(
      'SSH_BAD_CONFIG',
      `The key of ${name} for the front door is no public key as authorized_keys has them ("ssh-ed25519 AAAA…"); correct it.`,
    );
  }
  return {
    type: parsed.type,
    blob: parsed.getPublicSSH(),
    verify: (blob, signature, hash) => parsed.verify(blob, signature, hash) === true,
  };
}
