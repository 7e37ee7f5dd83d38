import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MULTICAST_LISTEN_MS, MULTICAST_QUESTIONS } from './constants.ts';
import type { MulticastFacts } from './facts.ts';

const GROUP = '224.0.0.251';
const PORT = 5353;
/** What agents announce themselves as (libp2p mDNS specification). */
const SERVICE = '_p2p._udp.local';
const FLAG_RESPONSE = 0x80;

/** A question for agents: DNS header, the name in labels, type PTR, class IN (RFC 1035 §4). */
export function serviceQuestion(): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(1, 4);
  const labels = SERVICE.split('.').map((label) =>
    Buffer.from(`${String.fromCharCode(label.length)}${label}`),
  );
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, 12, 0, 1])]);
}

/** Whether a packet answers that question: it is a response, and names the service. */
export function isServiceAnswer(packet: Uint8Array): boolean {
  const [question, bytes] = [serviceQuestion(), Buffer.from(packet)];
  return bytes.length > 12 && (bytes[2]! & FLAG_RESPONSE) !== 0 && bytes.includes(question.subarray(12, -5));
}

/** Asks by multicast on an interface and listens for a while who answers there. */
export async function probeMulticast(name: string, address: string): Promise<MulticastFacts> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  const question = serviceQuestion();
  const answers = new Set<string>();
  let heardItself = false;
  const broken = once(socket, 'error').then(([error]) => (error as Error).message);
  socket.on('message', (packet, from) => {
    if (from.address === address && question.equals(packet)) heardItself = true;
    else if (isServiceAnswer(packet)) answers.add(from.address);
  });
  const ask = async (): Promise<string | undefined> => {
    try {
      socket.bind(PORT, '0.0.0.0');
      await once(socket, 'listening');
      socket.addMembership(GROUP, address);
      socket.setMulticastInterface(address);
      socket.setMulticastLoopback(true);
      socket.setMulticastTTL(255);
      for (let asked = 0; asked < MULTICAST_QUESTIONS; asked++) {
        socket.send(question, PORT, GROUP);
        await sleep(MULTICAST_LISTEN_MS);
      }
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
  try {
    const error = await Promise.race([ask(), broken]);
    const facts = { interface: name, address, heardItself, answers: [...answers].sort() };
    return error === undefined ? facts : { ...facts, error };
  } finally {
    socket.close();
  }
}
