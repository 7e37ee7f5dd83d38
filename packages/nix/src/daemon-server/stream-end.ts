import type { Duplex } from 'node:stream';

/** Ends a stream when it has taken what was written, or after a while. */
export function endSoon(stream: Duplex, lingerMs: number): void {
  if (stream.destroyed) return;
  const timer = setTimeout(() => stream.destroy(), lingerMs);
  stream.once('close', () => clearTimeout(timer));
  stream.end(() => stream.destroy());
}
