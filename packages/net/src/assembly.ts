import {
  addressesToTell,
  isPlainAddress,
  orderForDialing,
  parseAddress,
  reachableAddresses,
} from './addresses.ts';
import type { Clock } from './clock.ts';
import { Connections } from './connections.ts';
import { DEFAULT_PORT } from './constants.ts';
import type { NetInit } from './create-net.ts';
import { Dialer } from './dialer.ts';
import { Directory } from './directory.ts';
import { Emitter } from './emitter.ts';
import { Gossip } from './gossip.ts';
import { Greeter } from './greeter.ts';
import type { Identity } from './identity.ts';
import { usableAddresses } from './interfaces.ts';
import { Joining } from './joining.ts';
import type { Logger } from './logger.ts';
import { MdnsDiscovery } from './mdns/discovery.ts';
import type { MembershipStore } from './membership-store.ts';
import type { NetEvents } from './mesh-net.ts';
import { Moves } from './moves.ts';
import { RecordPublisher } from './own-record.ts';
import { PeerNews } from './peer-news.ts';
import { readInterfaces } from './read-interfaces.ts';
import { RecordBook } from './record-book.ts';
import type { RememberedPeers } from './remembered-peers.ts';
import { Renewals } from './renewals.ts';
import { Roster } from './roster.ts';
import { Sessions } from './sessions.ts';
import { Strangers } from './strangers.ts';
import { Surroundings } from './surroundings.ts';
import { Switchboard } from './switchboard.ts';

/** What the parts of the network share. */
export interface Ground {
  logger: Logger;
  clock: Clock;
  random: () => number;
  identity: Identity;
  membership: MembershipStore;
  remembered: RememberedPeers;
}

/** The parts that the network as a whole is asked by way of, or starts and stops. */
export interface NetworkParts {
  readonly events: Emitter<NetEvents>;
  /** This agent, as its certificate or its configuration calls it. */
  readonly self: () => { peerId: string; name: string };
  /** Own addresses, without the peer id. */
  readonly ownAddresses: () => string[];
  readonly switchboard: Switchboard;
  readonly surroundings: Surroundings;
  readonly sessions: Sessions;
  readonly gossip: Gossip;
  readonly roster: Roster;
  readonly connections: Connections;
  readonly directory: Directory;
  readonly joining: Joining;
  readonly renewals: Renewals;
  readonly dialer: Dialer;
  readonly publisher: RecordPublisher;
  readonly mdns: MdnsDiscovery | undefined;
}

/**
 * Puts the parts of the network together; nothing listens yet. They need each other in circles: what a part says comes when all stand.
 * @throws {NetError} `NET_BAD_ADDRESS`
 */
export async function assembleNetwork(init: NetInit, ground: Ground): Promise<NetworkParts> {
  const { clock, logger, random, identity, membership, remembered } = ground;
  const own = identity.peerId;
  const self = () => ({ peerId: own, name: membership.members().get(own)?.name ?? init.name });
  const isMember = (peerId: string): boolean => membership.members().has(peerId);
  const isConnected = (peerId: string): boolean => sessions.primary(peerId) !== undefined;
  const ownAddresses = (): string[] => addressesToTell(switchboard.listening(), surroundings.addresses);

  const events = new Emitter<NetEvents>((error, event) => {
    logger.error({ error, event }, 'A listener of the network failed.');
  });
  const strangers = new Strangers(clock);
  const book = new RecordBook();
  const surroundings = new Surroundings({
    clock,
    look: () => usableAddresses(readInterfaces(), init.interfaces),
    onChange: (change) => moves.took(change, surroundings.addresses),
  });
  const switchboard = await Switchboard.create(
    {
      identity,
      listen: init.addresses ?? everywhere(init.listenPort ?? DEFAULT_PORT),
      order: (addresses) => orderForDialing(addresses, surroundings.addresses),
    },
    { isMember, isInvitationOpen: () => joining.isInvitationOpen(), strangers, clock, logger },
  );
  const sessions = new Sessions({
    self: own,
    onUp: (peerId) => news.up(peerId),
    onDown: (peerId, reason) => news.down(peerId, reason),
  });
  const gossip = new Gossip({
    sessions,
    book,
    clock,
    logger,
    isMember,
    mergeMembership: (records, from) => roster.merge(records, from),
    onRecord: (record) => news.heard(record),
  });
  const roster = new Roster({
    ...{ identity, membership, sessions, gossip, book, remembered, clock, logger },
    name: init.name,
    onChange: () => events.emit('membership'),
    onMove: () => {
      dialer.urge();
      publisher.refresh();
      mdns?.refresh();
      events.emit('membership');
    },
  });
  const incarnation = clock.now();
  const greeter = new Greeter({
    membership,
    clock,
    logger,
    introduce: () => ({ name: self().name, agentVersion: init.agentVersion ?? '0.0.0', incarnation }),
    isConnected,
    merge: (records) => roster.merge(records),
    onSession: (session) => connections.run(session),
  });
  const connections = new Connections({
    ...{ switchboard, greeter, gossip, sessions, membership, remembered, clock, logger },
    self: own,
  });
  const directory = new Directory({
    ...{ sessions, membership, remembered, clock, book, strangers, ownAddresses },
    self: own,
    faultOf: (peerId) => dialer.faultOf(peerId),
  });
  const joining = new Joining({
    ...{ identity, membership, clock, logger, isConnected },
    name: init.name,
    addresses: ownAddresses,
    dial: (peerId, addresses, signal) => switchboard.dial(peerId, addresses, signal),
    hold: (peerId, addresses) => dialer.hold(peerId, addresses),
    adopt: (records) => roster.adopt(records),
    move: (state) => roster.move(state),
    greet: (connection) => connections.greet(connection),
  });
  const renewals = new Renewals({ joining, roster, sessions, clock, logger });
  const dialer = new Dialer({
    clock,
    logger,
    random,
    isConnected: (peerId) => peerId === own || isConnected(peerId),
    isWanted: (peerId) => directory.isWanted(peerId),
    connect: (peerId, addresses) => connections.connect(peerId, addresses),
  });
  for (const address of init.peers) dialer.addManual(parseAddress(address));
  const publisher = new RecordPublisher({
    clock,
    describe: () => ({ ...self(), addresses: ownAddresses() }),
    send: (record) => news.tell(record),
  });
  const news = new PeerNews({
    ...{ identity, membership, events, sessions, gossip, book, directory, strangers, remembered },
    ...{ dialer, publisher, renewals },
  });
  const mdns = init.discovery.mdns
    ? new MdnsDiscovery({
        peerId: own,
        clock,
        logger,
        random,
        announcement: (network) => ({
          meshId: membership.meshId,
          addresses: reachableAddresses(switchboard.listening(), network),
        }),
        onPeer: (peer) => news.discovered(peer.peerId, peer.addresses.filter(isPlainAddress), peer.meshId),
        onGoodbye: (peerId) => strangers.left(peerId),
      })
    : undefined;
  const moves = new Moves({ sessions, gossip, dialer, publisher, mdns, logger });

  return {
    ...{ events, self, ownAddresses, switchboard, surroundings, sessions, gossip, roster, connections },
    ...{ directory, joining, renewals, dialer, publisher, mdns },
  };
}

/** Multiaddrs for all addresses of all families this machine has. */
function everywhere(port: number): string[] {
  const hasIpv6 = readInterfaces().some(({ addresses }) => addresses.some(({ family }) => family === 6));
  return [`/ip4/0.0.0.0/tcp/${port}`, ...(hasIpv6 ? [`/ip6/::/tcp/${port}`] : [])];
}
