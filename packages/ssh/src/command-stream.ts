import { Duplex } from 'node:stream';
import type { ClientChannel } from 'ssh2';

/**
 * A channel as other streams are: a channel of `ssh2` is never destroyed, forgets the callbacks of writes it can send no more, and
 * closes only when it was read to its end. Destroyed, without an error, when the connection is gone first.
 */
export class CommandStream extends Duplex {
  readonly #channel: ClientChannel;
  /** Of the write under way. */
  #written: (() => void) | undefined;
  #over = false;

  /** @param gone resolves when the connection is */
  constructor(channel: ClientChannel, gone: Promise<unknown>) {
    // A command that says no more reads no more either.
    super({ allowHalfOpen: false });
    this.#channel = channel;
    channel.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) channel.pause();
    });
    channel.on('end', () => this.push(null));
    channel.on('error', (error: Error) => this.destroy(error));
    channel.on('close', () => {
      this.#over = true;
      this.#written?.();
    });
    void gone.then(() => this.destroy());
  }

  override _read(): void {
    this.#channel.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    // What a command that has ended is told goes nowhere, as with a process of this machine.
    if (this.#over) {
      done();
      return;
    }
    this.#written = () => {
      this.#written = undefined;
      done();
    };
    this.#channel.write(chunk, encoding, () => this.#written?.());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#channel.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#channel.close();
    done(error);
  }
}
