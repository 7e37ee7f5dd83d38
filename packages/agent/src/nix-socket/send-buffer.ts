import type { Socket } from 'node:net';
import { descriptorOf } from './socket-descriptor.ts';

/**
 * What may wait in a socket for its reader. Linux wakes who writes into a Unix socket only when three quarters of it are free, so that with
 * its 208 KiB a NAR of 1 GiB waits some five thousand times; with this it took 0.8 times as long.
 */
const SEND_BUFFER_BYTES = 2 * 1024 * 1024;

/** SOL_SOCKET and SO_SNDBUF of <sys/socket.h>. */
const NUMBERS: Partial<Record<NodeJS.Platform, readonly [number, number]>> = {
  linux: [1, 7],
  darwin: [0xffff, 0x1001],
};

/**
 * Makes room in a connection for what is sent; the kernel gives as much as it allows (`net.core.wmem_max`). Node has no call for it, so the
 * C library is called; it is loaded only here.
 * @throws Error where it cannot be called on this machine
 */
export async function sendBufferWidener(): Promise<(socket: Socket) => void> {
  const numbers = NUMBERS[process.platform];
  if (numbers === undefined) return () => undefined;
  const { default: koffi } = await import('koffi');
  const setsockopt = koffi.load(null).func('int setsockopt(int, int, int, void *, uint32_t)');
  const value = Buffer.alloc(4);
  value.writeInt32LE(SEND_BUFFER_BYTES);
  return (socket) => {
    // Whatever it says: a narrower connection works as well.
    setsockopt(descriptorOf(socket), ...numbers, value, value.length);
  };
}
