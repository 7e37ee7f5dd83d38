import {
  type Channel,
  Emitter,
  type MemberView,
  type MeshNet,
  type NetEvents,
  type ProtocolHandler,
  type Role,
} from '@mesh/net';
import type { ProtocolDefinition } from '@mesh/wire';
import type { TransferNet } from '../net.ts';

type AnyHandler = ProtocolHandler<unknown, unknown>;

/** The members of a mesh in one process: channels keep their order, push back, and break when a member leaves. */
export class MemoryLan {
  readonly nodes = new Map<string, MemoryNode>();
  readonly links = new Set<MemoryChannel>();

  join(peerId: string, name: string): MemoryNode {
    const node = new MemoryNode(this, peerId, name);
    this.nodes.set(peerId, node);
    return node;
  }

  /** The member vanishes: its channels break and everybody notices. */
  leave(peerId: string): void {
    this.nodes.delete(peerId);
    for (const channel of this.links) if (channel.between(peerId)) channel.break();
    for (const node of this.nodes.values()) node.events.emit('member-down', peerId, 'closed');
  }
}

export class MemoryNode implements TransferNet, Pick<MeshNet, 'events'> {
  readonly peerId: string;
  readonly name: string;
  roles: Role[] = ['build'];
  readonly events = new Emitter<NetEvents>((error) => {
    throw error;
  });
  readonly handlers = new Map<string, AnyHandler>();
  /** Peers whose membership this node knows to have ended, before their connections did. */
  readonly removed = new Set<string>();
  readonly #lan: MemoryLan;

  constructor(lan: MemoryLan, peerId: string, name: string) {
    this.#lan = lan;
    this.peerId = peerId;
    this.name = name;
  }

  isMember(peerId: string): boolean {
    return this.#lan.nodes.has(peerId) && !this.removed.has(peerId);
  }

  rolesOf(peerId: string): Role[] {
    return this.isMember(peerId) ? (this.#lan.nodes.get(peerId)?.roles ?? []) : [];
  }

  connectedMembers(): string[] {
    return [...this.#lan.nodes.keys()].filter((peerId) => peerId !== this.peerId);
  }

  members(): MemberView[] {
    return [...this.#lan.nodes.values()].map(({ peerId, name, roles }) => ({
      peerId,
      name,
      roles: [...roles],
      self: peerId === this.peerId,
      connected: true,
      addresses: ['/ip4/127.0.0.1/tcp/1'],
    }));
  }

  nameOf(peerId: string): string | undefined {
    return this.#lan.nodes.get(peerId)?.name;
  }

  remoteHost(): string {
    return '127.0.0.1';
  }

  handle<D, L>(protocol: ProtocolDefinition<D, L>, handler: ProtocolHandler<D, L>): void {
    this.handlers.set(protocol.id, handler as unknown as AnyHandler);
  }

  async open<D, L>(peerId: string, protocol: ProtocolDefinition<D, L>): Promise<Channel<D, L>> {
    const handler = this.#lan.nodes.get(peerId)?.handlers.get(protocol.id);
    if (handler === undefined) throw new Error(`${peerId} is not connected`);
    const [near, far] = MemoryChannel.pair(this.#lan, this.peerId, peerId);
    void Promise.resolve(handler(far as unknown as Channel<unknown, unknown>, this.peerId)).then(
      () => far.end(),
      (error: Error) => far.abort(error),
    );
    return near as unknown as Channel<D, L>;
  }
}

/** One end of a channel; a message is sent when the other end has taken it. */
class MemoryChannel implements Channel<unknown, unknown> {
  readonly peerId: string;
  readonly closed: Promise<void>;
  readonly #owner: string;
  readonly #gone = new AbortController();
  readonly #inbox: { message: unknown; taken: () => void }[] = [];
  #other!: MemoryChannel;
  #inputEnded = false;
  #wake: (() => void) | undefined;

  static pair(lan: MemoryLan, near: string, far: string): [MemoryChannel, MemoryChannel] {
    const ends: [MemoryChannel, MemoryChannel] = [new MemoryChannel(near, far), new MemoryChannel(far, near)];
    for (const [index, end] of ends.entries()) {
      end.#other = ends[1 - index]!;
      lan.links.add(end);
      void end.closed.then(() => lan.links.delete(end));
    }
    return ends;
  }

  private constructor(owner: string, peerId: string) {
    this.#owner = owner;
    this.peerId = peerId;
    this.closed = new Promise((resolve) => this.signal.addEventListener('abort', () => resolve()));
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  between(peerId: string): boolean {
    return this.#owner === peerId || this.peerId === peerId;
  }

  async send(message: unknown): Promise<void> {
    this.signal.throwIfAborted();
    const taken = Promise.withResolvers<void>();
    this.#other.#inbox.push({ message: structuredClone(message), taken: taken.resolve });
    this.#other.#wake?.();
    this.signal.addEventListener('abort', () => taken.reject(this.signal.reason), { once: true });
    await taken.promise;
  }

  async receive(): Promise<unknown> {
    for (;;) {
      const next = this.#inbox.shift();
      if (next !== undefined) {
        next.taken();
        return next.message;
      }
      this.signal.throwIfAborted();
      if (this.#inputEnded) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    for (let next = await this.receive(); next !== undefined; next = await this.receive()) yield next;
  }

  async end(): Promise<void> {
    this.#other.#inputEnded = true;
    this.#other.#wake?.();
  }

  abort(error: Error): void {
    for (const end of [this, this.#other]) {
      end.#gone.abort(error);
      end.#wake?.();
    }
  }

  break(): void {
    this.abort(new Error('the connection broke'));
  }
}
