import { readFileSync } from 'node:fs';
import type { Host } from '@mesh/lab';

/** Bytes that went through a host's cable so far, headers included: `/proc/PID/net/dev`, proc(5). */
export function cableBytes(host: Host): { received: number; sent: number } {
  const line = /^\s*eth0:\s*(.*)$/m.exec(readFileSync(`/proc/${host.pid}/net/dev`, 'utf8'))?.[1];
  const fields = line?.trim().split(/\s+/).map(Number);
  if (fields === undefined) throw new Error(`Host ${host.name} has no eth0.`);
  return { received: fields[0]!, sent: fields[8]! };
}
