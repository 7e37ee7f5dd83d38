import { protocolError } from '../daemon/wire-reader.ts';
import { WireWriter } from '../daemon/wire-writer.ts';
import { FieldWalker } from './field-walker.ts';
import { MessageWalker } from './message-walker.ts';

/** Passes the daemon's answer to BuildPathsWithResults and puts results of others before its own. */
export class MergedResults {
  readonly #count: number;
  readonly #results: Buffer;
  readonly #messages = new MessageWalker(protocolError);
  readonly #number = new FieldWalker(protocolError);

  /** @param results `count` results with their wanted paths, as they are written */
  constructor(count: number, results: Buffer) {
    this.#count = count;
    this.#results = results;
    this.#number.begin(['number']);
  }

  /**
   * The bytes to pass in place of these, and whether everything after them is to pass as it comes.
   * @throws NixError NIX_DAEMON_PROTOCOL for what no daemon sends
   */
  push(chunk: Buffer): { readonly bytes: Buffer; readonly done: boolean } {
    let at = 0;
    if (this.#messages.ended === undefined) at = this.#messages.walk(chunk, 0);
    if (this.#messages.ended === undefined) return { bytes: chunk, done: false };
    if (this.#messages.ended === 'error') return { bytes: chunk, done: true };
    const told = chunk.subarray(0, at);
    at = this.#number.walk(chunk, at);
    if (!this.#number.done) return { bytes: told, done: false };
    const count = new WireWriter(16).u64(this.#number.value + this.#count).take();
    return { bytes: Buffer.concat([told, count, this.#results, chunk.subarray(at)]), done: true };
  }
}
