import type { Writable } from 'node:stream';

/**
 * Writes chunks to a client, each when the one before has left this process: then its memory can be used again.
 * @param took told of the bytes that it took, chunk by chunk: those of an answer that breaks off, too
 * @throws where the client takes nothing for `stalledMs`, or is gone
 */
export async function writeSlowly(
  chunks: AsyncIterable<Uint8Array>,
  client: Writable,
  stalledMs: number,
  took: (bytes: number) => void,
): Promise<void> {
  for await (const chunk of chunks) {
    await written(chunk, client, stalledMs);
    took(chunk.length);
  }
}

function written(chunk: Uint8Array, client: Writable, stalledMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error | null) => {
      clearTimeout(timer);
      client.off('close', onClose);
      if (error === undefined || error === null) resolve();
      else reject(error);
    };
    const onClose = () => settle(new Error('the client is gone'));
    const timer = setTimeout(() => settle(new Error('the client takes nothing')), stalledMs);
    client.on('close', onClose);
    if (client.destroyed) onClose();
    else client.write(chunk, settle);
  });
}
