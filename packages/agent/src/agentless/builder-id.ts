import { createHash } from 'node:crypto';

/** No peer id of a member begins so. */
const PREFIX = 'ssh';
/** Hexadecimal digits as letters that peer ids may have. */
const LETTERS = 'abcdefghijkmnopq';

/**
 * What the scheduler and the history know a machine without an agent by: shaped like a peer id, the same at every home that names the
 * machine alike.
 */
export function builderId(uri: string): string {
  const digest = createHash('sha256').update(uri).digest('hex').slice(0, 48);
  return PREFIX + [...digest].map((digit) => LETTERS[Number.parseInt(digit, 16)]).join('');
}

/** Whether this stands for a machine without an agent: no member can fetch anything from it. */
export function isBuilderId(peerId: string): boolean {
  return peerId.startsWith(PREFIX);
}
