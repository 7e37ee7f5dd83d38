import { WireWriter } from '../daemon/wire-writer.ts';
import type { NixError } from '../errors.ts';
import { MAX_HELD_BYTES } from './constants.ts';
import { FieldWalker, type Layout } from './field-walker.ts';

/** What becomes of a client's requests. */
export interface RequestHandler {
  /** What follows the operation's number; undefined where its end cannot be found. */
  layout(operation: number): Layout | undefined;
  /** Whether the request is to be held until it is whole. */
  isHeld(operation: number): boolean;
  /** Such a request begins to pass. */
  passes(operation: number): void;
  /** A request that was held; returns whether those after it have to wait. */
  whole(operation: number, request: Buffer): boolean;
  /** Takes bytes that pass. */
  write(bytes: Buffer): void;
}

const OPERATION: Layout = ['number'];

/** Walks over a client's requests, cut anywhere. What need not be held goes on at once, in as large pieces as it comes. */
export class RequestStream {
  /** The operation whose request cannot be followed: nothing is to be pushed after it. */
  lost: number | undefined;
  readonly #handler: RequestHandler;
  readonly #walker: FieldWalker;
  #operation: number | undefined;
  /** The request's bytes so far where it is held: until its operation is known, or whole. */
  #held: WireWriter | undefined;

  /** @param violation makes the error for what no client sends */
  constructor(handler: RequestHandler, violation: (what: string) => NixError) {
    this.#handler = handler;
    this.#walker = new FieldWalker(violation);
    this.#walker.begin(OPERATION);
  }

  /**
   * @returns how much of the chunk was taken: less than all where requests have to wait, or cannot be followed
   * @throws NixError for a length beyond the limits
   */
  push(chunk: Buffer): number {
    let from = 0;
    for (let at = 0; at < chunk.length; ) {
      const start = at;
      if (this.#operation === undefined) {
        at = this.#walker.walk(chunk, at);
        if (!this.#walker.done) {
          this.#write(chunk.subarray(from, start));
          this.#hold(chunk.subarray(start));
          return chunk.length;
        }
        const operation = this.#walker.value;
        const layout = this.#handler.layout(operation);
        const isHeld = layout !== undefined && this.#handler.isHeld(operation);
        if (isHeld || layout === undefined || this.#held !== undefined) {
          this.#write(chunk.subarray(from, start));
          this.#hold(chunk.subarray(start, at));
          from = at;
        }
        if (layout === undefined) {
          this.lost = operation;
          this.#write(this.#held!.take());
          return at;
        }
        this.#operation = operation;
        this.#walker.begin(layout);
        if (!isHeld) this.#release(operation, () => this.#write(chunk.subarray(from, start)));
        if (!isHeld && from < start) from = start;
      }
      const operation = this.#operation;
      const fields = at;
      at = this.#walker.walk(chunk, at);
      if (this.#held !== undefined) {
        this.#hold(chunk.subarray(fields, at));
        from = at;
        if (this.#held.length > MAX_HELD_BYTES) this.#release(operation, () => undefined);
      }
      if (!this.#walker.done) break;
      this.#operation = undefined;
      this.#walker.begin(OPERATION);
      const request = this.#held?.take();
      this.#held = undefined;
      if (request !== undefined && this.#handler.whole(operation, request)) return at;
    }
    this.#write(chunk.subarray(from));
    return chunk.length;
  }

  #hold(bytes: Buffer): void {
    this.#held ??= new WireWriter();
    this.#held.raw(bytes);
  }

  /** Lets a request pass from here on; what stood before it goes first. */
  #release(operation: number, before: () => void): void {
    before();
    this.#handler.passes(operation);
    const held = this.#held?.take();
    this.#held = undefined;
    if (held !== undefined) this.#write(held);
  }

  #write(bytes: Buffer): void {
    if (bytes.length > 0) this.#handler.write(bytes);
  }
}
