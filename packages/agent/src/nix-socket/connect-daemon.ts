import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONNECT_AGAIN_MS, CONNECT_WITHIN_MS } from './constants.ts';

/**
 * A connection to a Unix socket. Where the listener's queue is full, a blocking connect waits and one of Node fails with EAGAIN: it is
 * tried again.
 * @param open starts one attempt
 * @throws what connecting throws
 */
export async function retryWhileFull(open: () => Socket): Promise<Socket> {
  const deadlineMs = performance.now() + CONNECT_WITHIN_MS;
  for (;;) {
    try {
      return await connected(open());
    } catch (error) {
      const isFull = error instanceof Error && 'code' in error && error.code === 'EAGAIN';
      if (!isFull || performance.now() > deadlineMs) throw error;
      await sleep(CONNECT_AGAIN_MS);
    }
  }
}

function connected(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
