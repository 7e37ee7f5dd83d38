import { textOfBytes } from '../byte-text.ts';
import { NixError } from '../errors.ts';
import { isStorePath } from '../store-path.ts';
import { MAX_ITEMS, MAX_STRING_BYTES, RECEIVE_BUFFER_BYTES, STALL_TIMEOUT_MS } from './constants.ts';

/** The side of a socket the reader steers: it stops the bytes when too many wait. */
export interface ByteFlow {
  pause(): void;
  resume(): void;
}

/**
 * Reads the worker protocol's values from bytes pushed in. Every length is checked before anything is allocated, and
 * within a message the next bytes must come within the stall time, so garbage ends in an error, not in waiting.
 *
 * All methods throw NixError NIX_DAEMON_PROTOCOL for values the protocol does not allow, and whatever was given to
 * {@link fail} once the bytes before it are used up.
 */
export class WireReader {
  readonly #flow: ByteFlow;
  readonly #stallTimeoutMs: number;
  #head: Buffer = Buffer.alloc(0);
  #at = 0;
  #later: Buffer[] = [];
  #buffered = 0;
  #paused = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(flow: ByteFlow, stallTimeoutMs: number = STALL_TIMEOUT_MS) {
    this.#flow = flow;
    this.#stallTimeoutMs = stallTimeoutMs;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0 || this.#failure !== undefined) return;
    this.#later.push(chunk);
    this.#buffered += chunk.length;
    if (this.#wake !== undefined) this.#wake();
    else if (this.#buffered > RECEIVE_BUFFER_BYTES && !this.#paused) {
      this.#paused = true;
      this.#flow.pause();
    }
  }

  /** No more bytes will come; reads beyond what has come throw this. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  /** The number that begins the next message: may take as long as the build does. */
  async message(): Promise<number> {
    while (this.#buffered === 0) await this.#more(undefined);
    return this.u64();
  }

  async u64(): Promise<number> {
    if (!this.#has(8)) await this.#need(8);
    const low = this.#head.readUInt32LE(this.#at);
    const high = this.#head.readUInt32LE(this.#at + 4);
    this.#advance(8);
    if (high > 0x1f_ffff) throw protocolError('a number beyond 2^53');
    return high * 0x1_0000_0000 + low;
  }

  /** A number of full 64 bits, as text: activity ids have the process id in the upper half. */
  async id(): Promise<string> {
    if (!this.#has(8)) await this.#need(8);
    const value = this.#head.readBigUInt64LE(this.#at);
    this.#advance(8);
    return value.toString(16);
  }

  async flag(): Promise<boolean> {
    const value = await this.u64();
    if (value > 1) throw protocolError(`${value} where a yes or no belongs`);
    return value === 1;
  }

  async string(maxBytes: number = MAX_STRING_BYTES): Promise<string> {
    const length = await this.u64();
    if (length > maxBytes)
      throw protocolError(`a string of ${length} bytes, more than ${maxBytes} allowed here`);
    const padded = length + ((8 - (length % 8)) % 8);
    if (!this.#has(padded)) await this.#need(padded);
    for (let at = this.#at + length; at < this.#at + padded; at++) {
      if (this.#head[at] !== 0) throw protocolError('a string with padding that is not zero');
    }
    const text = textOfBytes(this.#head.subarray(this.#at, this.#at + length));
    this.#advance(padded);
    return text;
  }

  /** How many items follow. */
  async count(max: number = MAX_ITEMS): Promise<number> {
    const count = await this.u64();
    if (count > max) throw protocolError(`a list of ${count} items, more than ${max} allowed here`);
    return count;
  }

  async strings(max: number = MAX_ITEMS): Promise<string[]> {
    const texts: string[] = [];
    for (let left = await this.count(max); left > 0; left--) texts.push(await this.string());
    return texts;
  }

  async storePath(): Promise<string> {
    const path = await this.string();
    if (!isStorePath(path)) throw protocolError('something that is not a store path where one belongs');
    return path;
  }

  async storePaths(): Promise<string[]> {
    const paths: string[] = [];
    for (let left = await this.count(); left > 0; left--) paths.push(await this.storePath());
    return paths;
  }

  /** Whatever bytes are there, at least one; give back with {@link unread} what does not belong to you. */
  async chunk(): Promise<Buffer> {
    if (!this.#has(1)) await this.#need(1);
    const chunk = this.#head.subarray(this.#at);
    this.#advance(chunk.length);
    return chunk;
  }

  unread(rest: Buffer): void {
    if (rest.length === 0) return;
    if (this.#at < this.#head.length) this.#later.unshift(this.#head.subarray(this.#at));
    this.#head = rest;
    this.#at = 0;
    this.#buffered += rest.length;
  }

  #has(bytes: number): boolean {
    if (this.#head.length - this.#at >= bytes) return true;
    if (this.#buffered < bytes) return false;
    if (this.#at === this.#head.length) {
      this.#head = this.#later.shift()!;
      this.#at = 0;
      if (this.#head.length >= bytes) return true;
    }
    this.#head = Buffer.concat([this.#head.subarray(this.#at), ...this.#later]);
    this.#at = 0;
    this.#later = [];
    return true;
  }

  async #need(bytes: number): Promise<void> {
    while (!this.#has(bytes)) await this.#more(this.#stallTimeoutMs);
  }

  #advance(bytes: number): void {
    this.#at += bytes;
    this.#buffered -= bytes;
  }

  #more(timeoutMs: number | undefined): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#paused) {
      this.#paused = false;
      this.#flow.resume();
    }
    return new Promise((resolve, reject) => {
      const timer =
        timeoutMs === undefined
          ? undefined
          : setTimeout(() => {
              this.#wake = undefined;
              reject(protocolError('part of an answer and then nothing'));
            }, timeoutMs);
      this.#wake = () => {
        this.#wake = undefined;
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The daemon sent what the protocol does not allow. */
export function protocolError(what: string): NixError {
  return new NixError(
    'NIX_DAEMON_PROTOCOL',
    `The nix-daemon sent ${what}: check that the socket is a nix-daemon's and that Nix is not broken.`,
  );
}
