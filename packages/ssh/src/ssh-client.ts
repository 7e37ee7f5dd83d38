import type { Duplex, Readable } from 'node:stream';

/** A machine to reach by SSH, as a person or a machines file names it, after `ssh_config` had its say. */
export interface SshTarget {
  /** As it was named: what messages call it. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Private key files to try, in order. */
  readonly identityFiles: readonly string[];
  /** Path of the agent's socket; undefined where none is to be asked. */
  readonly agentSocket?: string;
  /** Lines of `known_hosts` files count, unless one key is pinned. */
  readonly knownHostsFiles: readonly string[];
  /** The only host key that will do, as base64 of its wire form or of a `known_hosts` key field, or its fingerprint (`SHA256:…`). */
  readonly pinnedHostKey?: string;
  /** The name to look for in `known_hosts`, where it is not the host's (`HostKeyAlias`). */
  readonly hostKeyAlias?: string;
  /** Take a key nobody knows and write it down (`StrictHostKeyChecking` `accept-new` or `no`). */
  readonly acceptNewHosts?: boolean;
  /** Of the agent's keys, those of `identityFiles` alone (`IdentitiesOnly`). */
  readonly identitiesOnly?: boolean;
  /** The machine to go through (`ProxyJump`). */
  readonly jump?: SshTarget;
  /** Asked for a key nobody knows; without it such a host is refused. A changed key is always refused. */
  readonly confirmUnknownHost?: (host: string, keyType: string, fingerprint: string) => Promise<boolean>;
}

/** A command that runs there. */
export interface SshRun {
  /** Its stdin and stdout. */
  readonly stream: Duplex;
  readonly stderr: Readable;
  /** Resolves when it ended; -1 where the connection went first. */
  readonly exitCode: Promise<number>;
}

/** One kept SSH connection; commands run beside each other on it. */
export interface SshClient {
  readonly target: SshTarget;
  /** Runs a command line of the remote shell. */
  run(command: string): Promise<SshRun>;
  /** Runs it to its end with this on stdin. */
  output(
    command: string,
    input?: string | Uint8Array,
  ): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  /** Resolves when the connection is gone, with what ended it where it was no `close`. */
  readonly closed: Promise<Error | undefined>;
  close(): void;
}
