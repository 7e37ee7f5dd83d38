import { once } from 'node:events';
import type { MessagePort } from 'node:worker_threads';

/** Bytes one way, in buffers that come back when they were used. */
type BytesMessage = { readonly buffer: ArrayBuffer; readonly bytes: number } | { readonly end: true };

/** Large enough that messages do not count. */
const BUFFER_BYTES = 256 * 1024;
/** Buffers under way for one stream: what one thread may be ahead of the other. */
const BUFFERS = 8;

/**
 * Sends bytes to another thread, no faster than they are taken there. The same few buffers go to and fro: new ones for every chunk would
 * be garbage faster than it is collected. Returns when all were taken, or the other end closed its port.
 */
export async function sendBytes(port: MessagePort, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const free = Array.from({ length: BUFFERS }, () => new ArrayBuffer(BUFFER_BYTES));
  let closed = false;
  let wake = (): void => undefined;
  port.on('message', (buffer: ArrayBuffer) => {
    free.push(buffer);
    wake();
  });
  port.on('close', () => {
    closed = true;
    wake();
  });
  let filling: Uint8Array | undefined;
  let filled = 0;
  const send = (): void => {
    if (filling === undefined) return;
    const buffer = filling.buffer as ArrayBuffer;
    port.postMessage({ buffer, bytes: filled } satisfies BytesMessage, [buffer]);
    filling = undefined;
    filled = 0;
  };
  try {
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; ) {
        while (filling === undefined && free.length === 0 && !closed) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        if (closed) return;
        filling ??= new Uint8Array(free.pop()!);
        const part = chunk.subarray(at, at + BUFFER_BYTES - filled);
        filling.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === BUFFER_BYTES) send();
      }
    }
    send();
    port.postMessage({ end: true } satisfies BytesMessage);
    // The messages before it are only sure to arrive once the other end has seen the last.
    if (!closed) await once(port, 'close');
  } finally {
    port.close();
  }
}

/**
 * What {@link sendBytes} sends at the other end of the port. A chunk is good until the next one is asked for. Ends early, without an
 * error, where the port is closed.
 */
export async function* receiveBytes(port: MessagePort): AsyncGenerator<Uint8Array, void, undefined> {
  const waiting: BytesMessage[] = [];
  let closed = false;
  let wake = (): void => undefined;
  port.on('message', (message: BytesMessage) => {
    waiting.push(message);
    wake();
  });
  port.on('close', () => {
    closed = true;
    wake();
  });
  try {
    for (;;) {
      const message = waiting.shift();
      if (message === undefined) {
        if (closed) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if ('end' in message) {
        return;
      } else {
        yield new Uint8Array(message.buffer, 0, message.bytes);
        port.postMessage(message.buffer, [message.buffer]);
      }
    }
  } finally {
    port.close();
  }
}
