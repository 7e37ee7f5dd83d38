import type { MeshNet } from '@mesh/net';
import { UPSTREAM } from './job/planner.ts';

/** What users read of a peer id: its machine's name, the end of it where that is not known; substituters are a source too. */
export function sourceName(peerId: string, net: Pick<MeshNet, 'nameOf'>): string {
  return peerId === UPSTREAM ? UPSTREAM : (net.nameOf(peerId) ?? peerId.slice(-8));
}
