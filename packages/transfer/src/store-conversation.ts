import type { Channel } from '@mesh/net';
import type { StoreRequest, StoreResponse } from '@mesh/wire';
import { MAX_PIPELINED_REQUESTS } from './constants.ts';
import { messageOf, TransferError } from './errors.ts';
import type { PeerLabel } from './side-channel/nar-connection.ts';

type Question = StoreRequest extends infer Request
  ? Request extends { id: number }
    ? Omit<Request, 'id'>
    : never
  : never;

/** Reads one response of an answer: whether more follow, it is whole, or it does not belong there. */
type Taker = (response: StoreResponse) => 'more' | 'complete' | 'unexpected';

interface Pending {
  readonly take: Taker;
  readonly done: PromiseWithResolvers<void>;
}

/** The asking end of one store stream: gives questions their ids and answers to whom they belong. */
export class StoreConversation {
  readonly closed: Promise<void>;
  readonly #channel: Channel<StoreRequest, StoreResponse>;
  readonly #peer: PeerLabel;
  readonly #pending = new Map<number, Pending>();
  readonly #waiting: (() => void)[] = [];
  #nextId = 1;
  #over: TransferError | undefined;

  constructor(channel: Channel<StoreRequest, StoreResponse>, peer: PeerLabel) {
    this.#channel = channel;
    this.#peer = peer;
    this.closed = this.#read();
  }

  /** Asks, and gives each response to `take` until the answer is whole. Bounded: waits while too many are under way. */
  async ask(question: Question, signal: AbortSignal, take: Taker): Promise<void> {
    while (this.#pending.size >= MAX_PIPELINED_REQUESTS && this.#over === undefined) {
      const turn = Promise.withResolvers<void>();
      this.#waiting.push(turn.resolve);
      await turn.promise;
    }
    signal.throwIfAborted();
    if (this.#over !== undefined) throw this.#over;
    const id = this.#nextId++;
    const done = Promise.withResolvers<void>();
    this.#pending.set(id, { take, done });
    const abort = () => {
      done.reject(signal.reason);
      // A channel that is gone needs no cancelling.
      this.#channel.send({ type: 'cancel', id }).catch(() => undefined);
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      // The answer may come, or the channel break, before sending is reported as done.
      await Promise.all([this.#channel.send({ ...question, id }), done.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
      this.#pending.delete(id);
      this.#waiting.shift()?.();
    }
  }

  close(): void {
    this.#end(this.#lost('the connection was given up'));
    // Ending a channel that broke already is no news.
    this.#channel.end().catch(() => undefined);
  }

  async #read(): Promise<void> {
    let reason = 'it closed the stream';
    try {
      for await (const response of this.#channel) this.#take(response);
    } catch (error) {
      reason = messageOf(error);
    }
    this.#end(this.#lost(reason));
  }

  #take(response: StoreResponse): void {
    const pending = this.#pending.get(response.id);
    // The late answer to a cancelled question.
    if (pending === undefined) return;
    if (response.type === 'error') {
      const message = `${this.#peer.name} could not answer a question about its store: ${response.message}`;
      pending.done.reject(new TransferError('TRANSFER_PEER_REFUSED', message, { peerId: this.#peer.peerId }));
      return;
    }
    const verdict = pending.take(response);
    if (verdict === 'complete') pending.done.resolve();
    if (verdict !== 'unexpected') return;
    const message = `${this.#peer.name} gave an answer that does not belong to the question; it may run another version of mesh.`;
    pending.done.reject(new TransferError('TRANSFER_PEER_REFUSED', message, { peerId: this.#peer.peerId }));
  }

  #end(error: TransferError): void {
    this.#over ??= error;
    for (const { done } of this.#pending.values()) done.reject(this.#over);
    for (const resume of this.#waiting.splice(0)) resume();
  }

  #lost(reason: string): TransferError {
    const message = `${this.#peer.name} was lost while it was asked about its store (${reason}).`;
    return new TransferError('TRANSFER_PEER_LOST', message, { peerId: this.#peer.peerId });
  }
}
