/**
 * A member that serves its store and signs with a key that is not its own: `lying-member.ts NAME STATE_DIR`. Prints `up`. Run by the
 * tests on a lab host in place of its agent.
 *
 * @packageDocumentation
 */
import { createNet, generateIdentity, silentLogger } from '@mesh/net';
import { DaemonPool } from '@mesh/nix';
import { createTransfer } from '../transfer.ts';

const [name = '', stateDir = ''] = process.argv.slice(2);
const net = await createNet({
  stateDir,
  name,
  listenPort: 4747,
  discovery: { mdns: true },
  peers: [],
  agentVersion: 'test',
})({ logger: silentLogger });
const identity = { ...generateIdentity(), peerId: net.self.peerId };
createTransfer({ stateDir })({ net, daemon: new DaemonPool(), identity, logger: silentLogger }).start();
await net.start();
console.log('up');
