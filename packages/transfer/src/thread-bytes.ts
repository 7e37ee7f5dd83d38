import { once } from 'node:events';
import type { MessagePort } from 'node:worker_threads';

/** What crosses: bytes one way, how many of them were taken the other way. */
type BytesMessage = { readonly chunk: Uint8Array } | { readonly end: true };

/**
 * Sends chunks to another thread, never more than `creditBytes` beyond what was taken there. Each is copied once, out of buffers that
 * others use, and then handed over. Returns when all are sent, or the other end closed its port.
 */
export async function sendBytes(
  port: MessagePort,
  chunks: AsyncIterable<Uint8Array>,
  creditBytes: number,
): Promise<void> {
  let sent = 0;
  let taken = 0;
  let closed = false;
  let wake = (): void => undefined;
  port.on('message', (total: number) => {
    taken = total;
    wake();
  });
  port.on('close', () => {
    closed = true;
    wake();
  });
  try {
    for await (const chunk of chunks) {
      while (!closed && sent - taken >= creditBytes) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (closed) return;
      const bytes = new Uint8Array(chunk);
      sent += bytes.length;
      port.postMessage({ chunk: bytes } satisfies BytesMessage, [bytes.buffer]);
    }
    port.postMessage({ end: true } satisfies BytesMessage);
    // The messages before it are only sure to arrive once the other end has seen the last.
    if (!closed) await once(port, 'close');
  } finally {
    port.close();
  }
}

/** What {@link sendBytes} sends at the other end of the port. Ends early, without an error, where the port is closed. */
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
  let taken = 0;
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
        yield message.chunk;
        taken += message.chunk.length;
        port.postMessage(taken);
      }
    }
  } finally {
    port.close();
  }
}
