/**
 * A program for the discovery test: one peer in a network namespace of its own. Waits for a line on standard input (the addresses to
 * announce apart from its own interfaces' being none of its business), then discovers, printing a line of JSON per peer it hears of.
 */
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { lanAddresses } from '../addresses.ts';
import { systemClock } from '../clock.ts';
import { generateIdentity } from '../identity.ts';
import { silentLogger } from '../logger.ts';
import { MdnsDiscovery } from './discovery.ts';

if (Object.keys(networkInterfaces()).some((name) => name !== 'lo')) {
  throw new Error('This program runs in an empty network namespace only, lest it speaks on a real network.');
}

const { peerId } = generateIdentity();
const everything = () => true;
console.log(JSON.stringify({ self: peerId }));
await once(process.stdin, 'data');

const discovery = new MdnsDiscovery({
  peerId,
  interfaces: everything,
  clock: systemClock,
  logger: silentLogger,
  random: Math.random,
  announcement: () => ({
    meshId: peerId,
    addresses: lanAddresses(everything).map(({ address }) => `/ip4/${address}/tcp/4747`),
  }),
  onPeer: (peer) => console.log(JSON.stringify(peer)),
});
discovery.start();
process.stdin.on('end', () => {
  void discovery.stop();
});
