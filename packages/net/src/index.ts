/** libp2p: identity, discovery, membership, gossip of capability and load, typed channels with real back-pressure. */

export { parseAddress } from './addresses.ts';
export type { Channel } from './channel.ts';
export { type Clock, systemClock, type Timer } from './clock.ts';
export { createNet, type NetComponents, type NetInit } from './create-net.ts';
export { Emitter } from './emitter.ts';
export { NetError, type NetErrorCode, RemoteError } from './errors.ts';
export {
  generateIdentity,
  type Identity,
  identityFromSeed,
  loadOrCreateIdentity,
  peerIdOfPublicKey,
  publicKeyOfPeerId,
  verifyWith,
} from './identity.ts';
export {
  type AddressFacts,
  type InterfaceAddress,
  type InterfaceFacts,
  type InterfaceRules,
  usableAddresses,
} from './interfaces.ts';
export { type Logger, type LogMethod, silentLogger } from './logger.ts';
export type { Certificate, Removal, Role } from './membership/records.ts';
export type {
  DownReason,
  MemberView,
  MeshNet,
  NetEvents,
  OwnRecord,
  ProtocolHandler,
  StrangerView,
} from './mesh-net.ts';
export { readInterfaces } from './read-interfaces.ts';
