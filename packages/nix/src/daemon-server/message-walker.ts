import { Message } from '../daemon/constants.ts';
import type { NixError } from '../errors.ts';
import { type Field, FieldWalker, type Layout } from './field-walker.ts';

const KIND: Layout = ['number'];
const FIELDS: Field = { each: ['activity-field'] };
/** Each with a position, which is always 0, and its text. */
const TRACES: Field = { each: ['number', 'string'] };

const LAYOUTS: ReadonlyMap<number, Layout> = new Map<number, Layout>([
  [Message.Next, ['string']],
  [Message.Read, ['number']],
  [Message.Write, ['string']],
  [Message.StartActivity, ['number', 'number', 'number', 'string', FIELDS, 'number']],
  [Message.StopActivity, ['number']],
  [Message.Result, ['number', 'number', FIELDS]],
  [Message.Error, ['string', 'number', 'string', 'string', 'number', TRACES]],
]);

/** Finds the end of what a daemon tells before an answer (the "stderr loop"), in a stream that is cut anywhere. */
export class MessageWalker {
  /** How it ended: with the answer following, or with an error in its place. */
  ended: 'last' | 'error' | undefined;
  readonly #violation: (what: string) => NixError;
  readonly #fields: FieldWalker;
  #kind: number | undefined;

  constructor(violation: (what: string) => NixError) {
    this.#violation = violation;
    this.#fields = new FieldWalker(violation);
    this.begin();
  }

  begin(): void {
    this.ended = undefined;
    this.#kind = undefined;
    this.#fields.begin(KIND);
  }

  /**
   * Walks on from `at` to the end of the messages or the chunk's.
   * @returns where it stopped
   * @throws NixError for a message that is not known
   */
  walk(chunk: Buffer, at: number): number {
    while (this.ended === undefined) {
      at = this.#fields.walk(chunk, at);
      if (!this.#fields.done) return at;
      if (this.#kind === undefined) this.#beginMessage(this.#fields.value);
      else if (this.#kind === Message.Error) this.ended = 'error';
      else {
        this.#kind = undefined;
        this.#fields.begin(KIND);
      }
    }
    return at;
  }

  #beginMessage(kind: number): void {
    if (kind === Message.Last) {
      this.ended = 'last';
      return;
    }
    const layout = LAYOUTS.get(kind);
    if (layout === undefined) throw this.#violation(`the unknown message ${kind.toString(16)}`);
    this.#kind = kind;
    this.#fields.begin(layout);
  }
}
