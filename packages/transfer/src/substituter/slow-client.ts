import type { Writable } from 'node:stream';

/**
 * Writes chunks to a client, no faster than it takes them.
 * @returns how many bytes it took over
 * @throws where the client takes nothing for `stalledMs`, or is gone
 */
export async function writeSlowly(
  chunks: AsyncIterable<Uint8Array>,
  client: Writable,
  stalledMs: number,
): Promise<number> {
  let bytes = 0;
  for await (const chunk of chunks) {
    if (client.destroyed) throw new Error('the client is gone');
    bytes += chunk.length;
    if (!client.write(chunk)) await drained(client, stalledMs);
  }
  return bytes;
}

function drained(client: Writable, stalledMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      clearTimeout(timer);
      client.off('drain', onDrain).off('close', onClose);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onDrain = () => settle();
    const onClose = () => settle(new Error('the client is gone'));
    const timer = setTimeout(() => settle(new Error('the client takes nothing')), stalledMs);
    client.on('drain', onDrain).on('close', onClose);
    if (client.destroyed) onClose();
  });
}
