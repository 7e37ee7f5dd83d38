import { createSocket, type RemoteInfo } from 'node:dgram';
import type { Answer } from 'dns-packet';
import multicastDns from 'multicast-dns';
import { hostOf } from '../addresses.ts';
import type { Clock, Timer } from '../clock.ts';
import { type InterfaceAddress, isOnLink } from '../interfaces.ts';
import { answerDelay, MIN_ANSWER_INTERVAL_MS, pauseBeforeQuery } from './pacing.ts';
import {
  type Announcement,
  decodeAnnouncements,
  decodeGoodbyes,
  encodeAnnouncement,
  SERVICE,
  TTL_SECONDS,
} from './packet.ts';

/** Queries that also announce: who is new on a link makes itself known and does not wait to be asked. */
const ANNOUNCING_QUERIES = 2;
/** Answers listed in a query as known already; more would not fit a packet. */
const MAX_KNOWN_ANSWERS = 20;
/** Peers of one link kept in mind. */
const MAX_HEARD = 256;

/** What a link needs. */
export interface LinkInit {
  /** Where to multicast: the interface, and one of its addresses of the family to speak. */
  at: InterfaceAddress;
  /** All addresses of that interface, of both families. */
  network: readonly InterfaceAddress[];
  /** Instance name of our announcement: random, of letters and digits. */
  instance: string;
  clock: Clock;
  random: () => number;
  /** What to announce now. */
  announcement: () => Announcement;
  onPeer: (peer: Announcement) => void;
  /** Somebody takes leave. */
  onGoodbye: (peerId: string) => void;
  /** The socket cannot be used (any more). */
  onFailure: (error: Error) => void;
}

/** Discovery on one interface, over IPv4 or IPv6: a socket of its own, which sends there and nowhere else. */
export class MdnsLink {
  readonly #init: LinkInit;
  readonly #socket: multicastDns.MulticastDNS;
  /** Instance names heard, and when (monotonic milliseconds). */
  readonly #heard = new Map<string, number>();
  #queries = 0;
  #queryTimer: Timer | undefined;
  #answerTimer: Timer | undefined;
  #announcedAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(init: LinkInit) {
    this.#init = init;
    this.#socket = openSocket(init.at);
    this.#socket.on('error', (error: Error) => init.onFailure(error));
    // Undecodable packets of others, and interfaces that went away before they were re-scanned.
    this.#socket.on('warning', () => undefined);
    this.#socket.on('query', ({ questions, answers }, from) =>
      this.#heardQuery(questions ?? [], answers ?? [], from),
    );
    this.#socket.on('response', ({ answers }, from) => this.#heardResponse(answers ?? [], from));
    this.#socket.on('ready', () => this.#scheduleQuery());
  }

  /** What we announce changed. */
  refresh(): void {
    this.#queries = 0;
    this.#scheduleQuery();
  }

  /** @param goodbye whether to tell the others, who then need not find out */
  async close({ goodbye = false } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#queryTimer?.cancel();
    this.#answerTimer?.cancel();
    const { announcement, instance } = this.#init;
    const peer = announcement();
    if (goodbye && Number.isFinite(this.#announcedAt)) {
      await new Promise((resolve) => this.#socket.respond(encodeAnnouncement(instance, peer, 0), resolve));
    }
    await new Promise<void>((resolve) => this.#socket.destroy(resolve));
  }

  #scheduleQuery(): void {
    if (this.#closed) return;
    this.#queryTimer?.cancel();
    this.#queryTimer = this.#init.clock.after(pauseBeforeQuery(this.#queries), () => {
      if (this.#queries < ANNOUNCING_QUERIES) this.#announce();
      this.#query();
      this.#queries++;
      this.#scheduleQuery();
    });
  }

  #query(): void {
    const fresh = this.#init.clock.monotonic() - (TTL_SECONDS / 2) * 1_000;
    const answers = [...this.#heard]
      .filter(([, at]) => at > fresh)
      .slice(-MAX_KNOWN_ANSWERS)
      .map(([name]): Answer => ({ name: SERVICE, type: 'PTR', class: 'IN', ttl: TTL_SECONDS, data: name }));
    this.#socket.query({ questions: [{ name: SERVICE, type: 'PTR', class: 'IN' }], answers });
  }

  #announce(): void {
    const { announcement, instance, clock } = this.#init;
    const peer = announcement();
    if (peer.addresses.length === 0) return;
    this.#announcedAt = clock.monotonic();
    this.#socket.respond(encodeAnnouncement(instance, peer));
  }

  #answerSoon(): void {
    const { clock, random } = this.#init;
    if (this.#answerTimer !== undefined) return;
    const since = clock.monotonic() - this.#announcedAt;
    const delay = answerDelay(since, random()) ?? MIN_ANSWER_INTERVAL_MS - since;
    this.#answerTimer = clock.after(delay, () => {
      this.#answerTimer = undefined;
      this.#announce();
    });
  }

  #heardQuery(
    questions: readonly { name: string; type: string }[],
    known: readonly Answer[],
    from: RemoteInfo,
  ): void {
    if (!this.#isOnLink(from)) return;
    if (!questions.some(({ name, type }) => name === SERVICE && (type === 'PTR' || type === 'ANY'))) return;
    const ours = `${this.#init.instance}.${SERVICE}`;
    if (known.some((answer) => answer.type === 'PTR' && answer.data === ours)) return;
    const { clock, random } = this.#init;
    if (answerDelay(clock.monotonic() - this.#announcedAt, random()) !== undefined) this.#answerSoon();
  }

  #heardResponse(answers: readonly Answer[], from: RemoteInfo): void {
    if (!this.#isOnLink(from)) return;
    const { onPeer, onGoodbye, announcement, network, clock } = this.#init;
    const own = announcement().peerId;
    for (const { name, peerId } of decodeGoodbyes(answers)) {
      // Whoever never came cannot leave; and our own packets come back to us.
      if (this.#heard.delete(name) && peerId !== own) onGoodbye(peerId);
    }
    const names = answers.flatMap((answer) =>
      answer.type === 'PTR' && answer.name === SERVICE && answer.ttl !== 0 ? [String(answer.data)] : [],
    );
    for (const peer of decodeAnnouncements(answers)) {
      if (peer.peerId === own) continue;
      // Somebody new does not know us yet either, and shall not wait for its next question.
      if (names.some((name) => !this.#heard.has(name))) this.#answerSoon();
      // Nobody's packet shall make us call machines beyond the link it came from.
      const addresses = peer.addresses.filter((address) => isOnLink(hostOf(address) ?? '', network));
      if (addresses.length > 0) onPeer({ ...peer, addresses });
    }
    for (const name of names.slice(0, MAX_KNOWN_ANSWERS)) {
      this.#heard.delete(name);
      this.#heard.set(name, clock.monotonic());
    }
    while (this.#heard.size > MAX_HEARD) this.#heard.delete(this.#heard.keys().next().value!);
  }

  /** A socket bound to the port hears all interfaces; only this one's packets are ours to answer. */
  #isOnLink({ address }: RemoteInfo): boolean {
    const { at, network } = this.#init;
    const [host = '', zone] = address.split('%');
    return zone === undefined ? isOnLink(host, network) : zone === at.name;
  }
}

/** The multicast group of mDNS over IPv6 (RFC 6762 §3). */
const IPV6_GROUP = 'ff02::fb';
const PORT = 5353;

function openSocket({ family, name, address }: InterfaceAddress): multicastDns.MulticastDNS {
  if (family === 4) return multicastDns({ interface: address, bind: '0.0.0.0', reuseAddr: true });
  // Of its own making: shared with nobody's IPv4, which has a socket for itself.
  const socket = createSocket({ type: 'udp6', reuseAddr: true, ipv6Only: true });
  const options = { type: 'udp6', ip: IPV6_GROUP, port: PORT, interface: `::%${name}`, bind: '::' } as const;
  return multicastDns({ ...options, socket });
}
