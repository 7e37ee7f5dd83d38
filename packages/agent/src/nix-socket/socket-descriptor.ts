import type { Socket } from 'node:net';

/** The file descriptor of a connection. @throws Error for one that is closed already */
export function descriptorOf(socket: Socket): number {
  const handle = (socket as unknown as { _handle?: { fd?: unknown } | null })._handle;
  if (typeof handle?.fd !== 'number' || handle.fd < 0) throw new Error('this connection is closed already');
  return handle.fd;
}
