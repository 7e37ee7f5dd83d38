import type { MeshNet } from '@mesh/net';

/** What this package needs of the network. */
export type TransferNet = Pick<
  MeshNet,
  'isMember' | 'rolesOf' | 'connectedMembers' | 'members' | 'nameOf' | 'remoteHost' | 'handle' | 'open'
>;

/** The IP addresses a member may be reached at: the one it is connected by first, then those it says it has. */
export function hostsOf(net: Pick<TransferNet, 'members' | 'remoteHost'>, peerId: string): string[] {
  const member = net.members().find((candidate) => candidate.peerId === peerId);
  const said = (member?.addresses ?? []).flatMap((address) => /^\/ip[46]\/([^/]+)/.exec(address)?.[1] ?? []);
  const connected = net.remoteHost(peerId);
  return [...new Set(connected === undefined ? said : [connected, ...said])];
}
