import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import * as v from 'valibot';
import { retryWhileFull } from './connect-daemon.ts';
import { type ConnectRequest, connectAnswerSchema } from './connector-messages.ts';
import { CONNECTOR_IDLE_MS } from './constants.ts';
import type { PeerCredentials } from './peer-credentials.ts';

/** Bits of `CapEff` in /proc/PID/status (<linux/capability.h>): CAP_SETGID and CAP_SETUID. */
const SET_IDS = (1n << 6n) | (1n << 7n);

/** Whether this process may take the identity of any user. */
export function mayActForOthers(): boolean {
  if (process.platform !== 'linux') return process.geteuid?.() === 0;
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return effective !== undefined && (BigInt(`0x${effective}`) & SET_IDS) === SET_IDS;
}

/** Sources run as they are, built files as they are: the process's file is the neighbour of this one. */
const FROM_SOURCE = import.meta.url.endsWith('.ts');

/**
 * Connections to the real nix-daemon in the name of whoever called, so that it sees, trusts and refuses the caller and not the agent.
 * For others than the agent's own user a process connects, which is started when the first of them comes, and again when it has died.
 */
export class CallerConnections {
  readonly #daemonSocket: string;
  #connector: Connector | undefined;

  constructor(daemonSocket: string) {
    this.#daemonSocket = daemonSocket;
  }

  /** @throws Error where the daemon cannot be reached by this caller, or the process that connects has died */
  async connect(caller: PeerCredentials): Promise<Socket> {
    const isOwn = caller.uid === process.geteuid?.() && caller.gid === process.getegid?.();
    if (isOwn) return this.connectAsAgent();
    if (caller.uid === 0 && process.geteuid?.() !== 0) return this.#connectAsRoot(caller);
    if (this.#connector?.isOver !== false) this.#connector = new Connector();
    return this.#connector.connect(this.#daemonSocket, caller);
  }

  /** A process that was root for once, without being it, can act for nobody else. */
  async #connectAsRoot(caller: PeerCredentials): Promise<Socket> {
    const connector = new Connector();
    try {
      return await connector.connect(this.#daemonSocket, caller);
    } finally {
      connector.end();
    }
  }

  /** With the agent's own rights. */
  connectAsAgent(): Promise<Socket> {
    return retryWhileFull(() => connect({ path: this.#daemonSocket }));
  }

  stop(): void {
    this.#connector?.end();
  }
}

interface Waiting {
  resolve(socket: Socket): void;
  reject(error: Error): void;
}

/** The process that connects for callers; it ends when it was not needed for a while. */
class Connector {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #isOver = false;
  #idle: NodeJS.Timeout | undefined;
  #lastRequest = 0;

  constructor() {
    const file = new URL(FROM_SOURCE ? './connector-process.ts' : './connector-process.js', import.meta.url);
    this.#process = fork(file, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#process.unref();
    this.#process.channel?.unref();
    this.#process.on('message', (message, handle) => this.#hear(message, handle));
    this.#process.on('error', (error) => this.#died(error));
    this.#process.on('exit', () => this.#died(new Error('the process that connects for callers has died')));
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  connect(path: string, { uid, gid, groups }: PeerCredentials): Promise<Socket> {
    clearTimeout(this.#idle);
    return new Promise((resolve, reject) => {
      const request = ++this.#lastRequest;
      this.#waiting.set(request, { resolve, reject });
      const asked = groups === undefined ? {} : { groups: [...groups] };
      const message: ConnectRequest = { request, path, uid, gid, ...asked };
      this.#process.send(message, (error) => {
        if (error !== null) this.#take(request)?.reject(error);
      });
    });
  }

  end(): void {
    clearTimeout(this.#idle);
    this.#isOver = true;
    if (this.#process.connected) this.#process.disconnect();
  }

  #died(error: Error): void {
    clearTimeout(this.#idle);
    this.#isOver = true;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #hear(message: unknown, handle: unknown): void {
    const { request, error } = v.parse(connectAnswerSchema, message);
    const waiting = this.#take(request);
    if (handle instanceof Socket) {
      if (waiting === undefined) handle.destroy();
      else waiting.resolve(handle);
    } else {
      waiting?.reject(new Error(error ?? 'the process that connects for callers gave no connection'));
    }
  }

  #take(request: number): Waiting | undefined {
    const waiting = this.#waiting.get(request);
    this.#waiting.delete(request);
    if (this.#waiting.size === 0 && !this.#isOver) {
      clearTimeout(this.#idle);
      this.#idle = setTimeout(() => this.end(), CONNECTOR_IDLE_MS);
      this.#idle.unref();
    }
    return waiting;
  }
}
