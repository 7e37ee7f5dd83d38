import { protocolError } from '../daemon/wire-reader.ts';
import { WireWriter } from '../daemon/wire-writer.ts';
import { FieldWalker, type Layout } from './field-walker.ts';
import { MessageWalker } from './message-walker.ts';

/** An answer that the daemon owes. */
export interface Expected {
  /** What follows its messages; undefined where that is not known, and all that comes is the client's. */
  readonly layout: Layout | undefined;
  /** Whether it is the client's; otherwise it was asked for here, and the client does not see it. */
  readonly toClient: boolean;
  /** Wants all of its bytes, messages included, when it is whole. Where it is the client's, it has them already. */
  readonly whole?: (bytes: Buffer, ended: 'last' | 'error') => void;
}

/** Takes the daemon's bytes apart into answers, in the order they were asked for. */
export class AnswerStream {
  readonly #write: (bytes: Buffer) => void;
  readonly #expected: Expected[] = [];
  readonly #messages = new MessageWalker(protocolError);
  readonly #fields = new FieldWalker(protocolError);
  #owedToClient = 0;
  #inMessages = true;
  /** The start of the answer, where somebody wants it whole. */
  #kept: WireWriter | undefined;

  /** @param write takes what the client is to have */
  constructor(write: (bytes: Buffer) => void) {
    this.#write = write;
  }

  expect(expected: Expected): void {
    this.#expected.push(expected);
    if (expected.toClient) this.#owedToClient += 1;
  }

  /** Whether the client waits for an answer. */
  get isClientWaiting(): boolean {
    return this.#owedToClient > 0;
  }

  /** @throws NixError NIX_DAEMON_PROTOCOL, NIX_BAD_NAR for what no daemon sends */
  push(chunk: Buffer): void {
    // Bytes for the client go on in as large pieces as they come.
    let from = 0;
    let at = 0;
    while (at < chunk.length) {
      const answer = this.#expected[0];
      // A daemon that is told to stop may say so without being asked.
      if (answer?.layout === undefined) {
        at = chunk.length;
        break;
      }
      const start = at;
      at = this.#walk(chunk, at, answer.layout);
      if (answer.whole !== undefined) this.#keep(chunk.subarray(start, at));
      if (!answer.toClient) {
        if (start > from) this.#write(chunk.subarray(from, start));
        from = at;
      }
      if (!this.#isDone()) break;
      if (answer.whole !== undefined) {
        // Whoever gets it may write to the client, after what came before.
        if (at > from) this.#write(chunk.subarray(from, at));
        from = at;
      }
      this.#finish(answer);
    }
    if (from < at) this.#write(chunk.subarray(from, at));
  }

  /** Takes bytes that the client has already. */
  skip(chunk: Buffer): void {
    const answer = this.#expected[0];
    if (answer?.layout === undefined) return;
    this.#walk(chunk, 0, answer.layout);
    if (this.#isDone()) this.#finish(answer);
  }

  #keep(bytes: Buffer): void {
    this.#kept ??= new WireWriter(1024);
    this.#kept.raw(bytes);
  }

  #isDone(): boolean {
    return this.#messages.ended === 'error' || (!this.#inMessages && this.#fields.done);
  }

  #walk(chunk: Buffer, at: number, layout: Layout): number {
    if (this.#inMessages) {
      at = this.#messages.walk(chunk, at);
      if (this.#messages.ended !== 'last') return at;
      this.#inMessages = false;
      this.#fields.begin(layout);
    }
    return this.#fields.walk(chunk, at);
  }

  #finish(answer: Expected): void {
    const ended = this.#messages.ended!;
    const kept = this.#kept?.take();
    this.#kept = undefined;
    this.#inMessages = true;
    this.#messages.begin();
    this.#expected.shift();
    if (answer.toClient) this.#owedToClient -= 1;
    answer.whole?.(kept ?? Buffer.alloc(0), ended);
  }
}
