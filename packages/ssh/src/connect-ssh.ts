import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import ssh2 from 'ssh2';
import { SSH_KEEPALIVE_COUNT, SSH_KEEPALIVE_MS, SSH_READY_TIMEOUT_MS } from './constants.ts';
import { SshError } from './errors.ts';
import { type IdentityTrouble, identitiesOf } from './identities.ts';
import {
  type HostKey,
  hostKeyAlgorithms,
  hostKeyFingerprint,
  hostKeyOf,
  judgeHostKey,
  type KnownHost,
  knownHostsLine,
  knownHostsName,
  lookUpHost,
  parseFingerprint,
  parsePinnedHostKey,
  sameKey,
} from './known-hosts.ts';
import type { SshClient, SshTarget } from './ssh-client.ts';
import { Ssh2Client } from './ssh2-client.ts';

export interface ConnectSshOptions {
  /** Gives up. Once connected, use `close`. */
  readonly signal?: AbortSignal;
  /** To connect, exchange keys and log in. */
  readonly readyTimeoutMs?: number;
  /** Of three unanswered ones the connection dies. */
  readonly keepaliveMs?: number;
  /** Told of what does not keep the connection from working, in a sentence each. */
  readonly warn?: (sentence: string) => void;
}

/** Host key algorithms asked for, best first. Ones that sign with SHA-1 are not among them. */
const HOST_KEY_ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
] as const;

/**
 * Connects and logs in; the connection is kept until one side closes it, and its death is noticed by keepalives.
 *
 * @throws SshError SSH_UNREACHABLE, SSH_HOST_KEY_UNKNOWN, SSH_HOST_KEY_CHANGED, SSH_HOST_KEY_REVOKED, SSH_AUTH_FAILED, SSH_PROTOCOL,
 * SSH_BAD_CONFIG; what `signal` was aborted with
 */
export async function connectSsh(target: SshTarget, options: ConnectSshOptions = {}): Promise<SshClient> {
  options.signal?.throwIfAborted();
  if (target.jump === undefined) return connectOver(target, undefined, options);
  const jump = await connectSsh(target.jump, options);
  try {
    const stream = await (jump as Ssh2Client).forward(target.host, target.port);
    const client = await connectOver(target, stream, options);
    void client.closed.then(() => jump.close());
    return client;
  } catch (error) {
    jump.close();
    throw error;
  }
}

async function connectOver(
  target: SshTarget,
  stream: Duplex | undefined,
  options: ConnectSshOptions,
): Promise<SshClient> {
  const keys = new HostKeyCheck(target, options.warn ?? (() => undefined));
  const known = await keys.known();
  const { methods, troubles } = await identitiesOf(target);
  options.signal?.throwIfAborted();
  const connection = new ssh2.Client();
  const ready = Promise.withResolvers<void>();
  const fail = (error: Error): void => ready.reject(keys.refusal ?? explain(error, target, troubles));
  const onAbort = (): void => {
    ready.reject(options.signal!.reason as Error);
    connection.destroy();
  };
  connection
    .on('ready', () => ready.resolve())
    .on('error', fail)
    .on('close', () => fail(new Error('the connection ended')));
  options.signal?.addEventListener('abort', onAbort, { once: true });
  // Made before anything can happen, so that no event of the connection is missed.
  const client = new Ssh2Client(target, connection);
  try {
    connection.connect({
      ...(stream === undefined ? { host: target.host, port: target.port } : { sock: stream }),
      username: target.user,
      algorithms: {
        serverHostKey: hostKeyAlgorithms(
          known,
          HOST_KEY_ALGORITHMS,
        ) as (typeof HOST_KEY_ALGORITHMS)[number][],
      },
      hostVerifier: (blob: Buffer, verify: (ok: boolean) => void) => {
        keys.check(blob).then(verify, (error: unknown) => {
          keys.refusal = error as SshError;
          verify(false);
        });
      },
      authHandler: methods,
      readyTimeout: options.readyTimeoutMs ?? SSH_READY_TIMEOUT_MS,
      keepaliveInterval: options.keepaliveMs ?? SSH_KEEPALIVE_MS,
      keepaliveCountMax: SSH_KEEPALIVE_COUNT,
    });
    // A question in two pieces would wait for the acknowledgement of the first, which the other side delays for 40 ms.
    connection.setNoDelay(true);
    await ready.promise;
    return client;
  } catch (error) {
    connection.destroy();
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
  }
}

/** Decides about the key a host shows, and remembers one that was taken. */
class HostKeyCheck {
  refusal: SshError | undefined;
  readonly #target: SshTarget;
  readonly #warn: (sentence: string) => void;
  #pinned: HostKey | undefined;
  #fingerprint: string | undefined;
  #known: KnownHost = { keys: [], revoked: [], withoutPort: [] };

  constructor(target: SshTarget, warn: (sentence: string) => void) {
    this.#target = target;
    this.#warn = warn;
  }

  /** Keys the host may show. @throws SshError SSH_BAD_CONFIG */
  async known(): Promise<readonly HostKey[]> {
    const { pinnedHostKey, knownHostsFiles } = this.#target;
    if (pinnedHostKey?.startsWith('SHA256:')) {
      this.#fingerprint = parseFingerprint(pinnedHostKey);
    } else if (pinnedHostKey !== undefined) {
      this.#pinned = parsePinnedHostKey(pinnedHostKey);
      return [this.#pinned];
    }
    const { host, port } = this.#named();
    this.#known = lookUpHost(await Promise.all(knownHostsFiles.map(readIfThere)), host, port);
    return [...this.#known.keys, ...this.#known.withoutPort];
  }

  /** Resolves to true, or throws why not. */
  async check(blob: Buffer): Promise<true> {
    const shown = hostKeyOf(blob);
    const { host, port } = this.#named();
    const verdict =
      this.#pinned === undefined
        ? judgeHostKey(this.#known, shown)
        : sameKey(this.#pinned, shown)
          ? 'known'
          : 'changed';
    const fingerprint = hostKeyFingerprint(shown);
    const { name, confirmUnknownHost, acceptNewHosts, knownHostsFiles } = this.#target;
    if (this.#fingerprint !== undefined && fingerprint !== this.#fingerprint) {
      throw new SshError(
        'SSH_HOST_KEY_CHANGED',
        `THE HOST KEY OF ${name} IS ANOTHER ONE: it shows ${shown.type} ${fingerprint} and not ${this.#fingerprint}, so nothing was sent; find out why before you give that one.`,
      );
    }
    switch (verdict) {
      case 'known':
        return true;
      case 'changed':
        throw new SshError(
          'SSH_HOST_KEY_CHANGED',
          `THE HOST KEY OF ${name} HAS CHANGED: somebody may be listening in, so nothing was sent; it shows ${shown.type} ${fingerprint}. ` +
            `If the machine was set up anew, ${this.#pinned === undefined ? `remove its old line (ssh-keygen -R '${knownHostsName(host, port)}'${inFile(knownHostsFiles[0])})` : 'put the new key in place of the pinned one'}.`,
        );
      case 'revoked':
        throw new SshError(
          'SSH_HOST_KEY_REVOKED',
          `${name} shows the host key ${fingerprint}, which known_hosts calls revoked: give the machine a new one.`,
        );
      case 'unknown':
        break;
    }
    const accepted =
      this.#fingerprint !== undefined ||
      acceptNewHosts === true ||
      (await confirmUnknownHost?.(host, shown.type, fingerprint)) === true;
    if (!accepted) {
      throw new SshError(
        'SSH_HOST_KEY_UNKNOWN',
        `Nobody has vouched for the host key of ${name} (${shown.type} ${fingerprint}): compare it and log in once with ssh, or pin it.`,
      );
    }
    await this.#remember(shown);
    return true;
  }

  async #remember(key: HostKey): Promise<void> {
    const [file] = this.#target.knownHostsFiles;
    if (file === undefined) return;
    const { host, port } = this.#named();
    try {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      await appendFile(file, `${knownHostsLine(host, port, key)}\n`, { mode: 0o600 });
    } catch (error) {
      this.#warn(`The host key of ${host} could not be written to ${file}: ${(error as Error).message}.`);
    }
  }

  #named(): { host: string; port: number } {
    const { host, port, hostKeyAlias } = this.#target;
    return hostKeyAlias === undefined ? { host, port } : { host: hostKeyAlias, port: 22 };
  }
}

function inFile(file: string | undefined): string {
  return file === undefined ? '' : ` -f ${file}`;
}

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return '';
    throw new SshError(
      'SSH_BAD_CONFIG',
      `${file} cannot be read (${(error as Error).message}): mend its rights.`,
      {
        cause: error,
      },
    );
  }
}

/** What the system's codes mean to somebody who looks for the mistake. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'no SSH server listens on that port',
  ENOTFOUND: 'no machine is known by that name',
  EAI_AGAIN: 'its name cannot be looked up',
  EHOSTUNREACH: 'there is no way to it',
  ENETUNREACH: 'there is no way to it',
  ETIMEDOUT: 'no answer in time',
};

function explain(error: Error, target: SshTarget, troubles: readonly IdentityTrouble[]): SshError {
  const { name, host, port, user } = target;
  const level = 'level' in error ? error.level : undefined;
  const code = (error as NodeJS.ErrnoException).code;
  const at = host === name ? (port === 22 ? name : `${name} port ${port}`) : `${name} (${host} port ${port})`;
  if (level === 'client-authentication') {
    const why = troubles.map(({ file, why }) => ` ${file} ${why}.`).join('');
    return new SshError(
      'SSH_AUTH_FAILED',
      `${name} lets ${user} in with none of the keys at hand: add one to that user's authorized_keys, or name the right one.${why}`,
      { cause: error },
    );
  }
  if (level === 'client-socket' || level === 'client-timeout' || code !== undefined) {
    const reason =
      level === 'client-timeout' ? 'no answer in time' : (REASONS[code ?? ''] ?? code ?? error.message);
    return new SshError(
      'SSH_UNREACHABLE',
      `${at} cannot be reached by SSH (${reason}): check that it is up, the address, and its firewall.`,
      { cause: error },
    );
  }
  return new SshError('SSH_PROTOCOL', `No SSH connection to ${at} came about: ${error.message}.`, {
    cause: error,
  });
}
