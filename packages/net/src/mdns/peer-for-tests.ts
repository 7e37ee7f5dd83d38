/**
 * A program for the discovery test: one peer in a network namespace of its own. Waits for a line on standard input (the addresses to
 * announce apart from its own interfaces' being none of its business), then discovers, printing a line of JSON per peer it hears of.
 */
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { systemClock } from '../clock.ts';
import { generateIdentity } from '../identity.ts';
import { usableAddresses } from '../interfaces.ts';
import { silentLogger } from '../logger.ts';
import { readInterfaces } from '../read-interfaces.ts';
import { Surroundings } from '../surroundings.ts';
import { MdnsDiscovery } from './discovery.ts';

if (Object.keys(networkInterfaces()).some((name) => name !== 'lo')) {
  throw new Error('This program runs in an empty network namespace only, lest it speaks on a real network.');
}

const { peerId } = generateIdentity();
console.log(JSON.stringify({ self: peerId }));
await once(process.stdin, 'data');

const discovery = new MdnsDiscovery({
  peerId,
  clock: systemClock,
  logger: silentLogger,
  random: Math.random,
  announcement: (network) => ({
    meshId: peerId,
    addresses: network.map(({ family, address }) => `/ip${family}/${address}/tcp/4747`),
  }),
  onPeer: (peer) => console.log(JSON.stringify(peer)),
  onGoodbye: (peer) => console.log(JSON.stringify({ goodbye: peer })),
});
const surroundings = new Surroundings({
  clock: systemClock,
  look: () => usableAddresses(readInterfaces()),
  onChange: () => discovery.update(surroundings.addresses),
});
surroundings.start();
discovery.update(surroundings.addresses);
process.stdin.on('end', () => {
  surroundings.stop();
  void discovery.stop();
});
// Nothing else keeps it alive: timers of the system's clock do not.
process.stdin.resume();
