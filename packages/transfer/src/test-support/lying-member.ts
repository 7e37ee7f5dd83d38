/**
 * A member that is not what a member should be: `lying-member.ts NAME STATE_DIR [FAULT]`. Prints `up`. Run by the tests on a lab host
 * in place of its agent. It tells what its store really holds, and then:
 *
 * - `other-key` (the default): signs with a key that is not its own;
 * - `other-size`: describes paths as larger than they are, and signs that;
 * - `altered`: changes the sizes of what it signed;
 * - `flood`: asks every member 100,000 questions about its store at once, for as long as it is answered;
 * - one of `NAR_FAULTS`: answers like that when it is asked for NARs.
 *
 * @packageDocumentation
 */
import { join } from 'node:path';
import { createNet, generateIdentity, silentLogger } from '@mesh/net';
import { DaemonPool, type PathDescription, signingKeyFromSeed } from '@mesh/nix';
import { storeProtocol } from '@mesh/wire';
import { LocalDataPlane } from '../data-plane.ts';
import type { TransferNet } from '../net.ts';
import { signingKeyName } from '../path-info-verification.ts';
import { daemonStoreReader, type StoreReader } from '../store-reader.ts';
import { StoreServer } from '../store-server.ts';
import { createTransfer } from '../transfer.ts';
import { HostileNars, NAR_FAULTS, type NarFault } from './hostile-nars.ts';

const FLOOD_QUESTIONS = 100_000;

const [name = '', stateDir = '', fault = 'other-key'] = process.argv.slice(2);
const net = await createNet({
  stateDir,
  name,
  listenPort: 4747,
  discovery: { mdns: true },
  peers: [],
  agentVersion: 'test',
})({ logger: silentLogger });
const daemon = new DaemonPool();

/** The store as it tells of itself, before that is signed. */
function describedStore(): StoreReader {
  const store = daemonStoreReader(daemon);
  if (fault !== 'other-size') return store;
  const described = (info: PathDescription) => ({ ...info, narSize: info.narSize + 8 });
  return {
    ...store,
    pathInfos: async (paths) =>
      new Map([...(await store.pathInfos(paths))].map(([path, info]) => [path, described(info)])),
  };
}

/** The network, where what was signed is changed as it goes out. */
const altering: Pick<TransferNet, 'handle'> = {
  handle: (protocol, handler) =>
    net.handle(protocol, (channel, peerId) =>
      handler(
        new Proxy(channel, {
          get: (target, key) => {
            if (key === 'send') return (message: unknown) => target.send(altered(message) as never);
            const value: unknown = Reflect.get(target, key, target);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        }),
        peerId,
      ),
    ),
};

function altered(message: unknown): unknown {
  if (typeof message !== 'object' || message === null || !('infos' in message)) return message;
  const infos = message.infos as PathDescription[];
  return { ...message, infos: infos.map((info) => ({ ...info, narSize: info.narSize + 8 })) };
}

async function flood(peerId: string): Promise<void> {
  const channel = await net.open(peerId, storeProtocol);
  const paths = [`/nix/store/${'0'.repeat(32)}-nothing`];
  let answers = 0;
  console.log('asking');
  const reading = (async () => {
    for await (const answer of channel) if (answer.type === 'have') answers += 1;
  })();
  const asked = Array.from({ length: FLOOD_QUESTIONS }, (_, id) =>
    channel.send({ type: 'have', id, paths }).catch(() => undefined),
  );
  await Promise.race([Promise.all(asked), reading]);
  console.log(`asked; ${answers} answered`);
}

if (fault === 'other-key') {
  const identity = { ...generateIdentity(), peerId: net.self.peerId };
  createTransfer({ stateDir })({ net, daemon, identity, logger: silentLogger }).start();
} else if (fault === 'flood') {
  // Once it is known to all: a flood is all it does from then on.
  net.events.on('member-up', (peerId) => setTimeout(() => void flood(peerId), 3_000));
} else {
  const { peerId, seed } = net.identity;
  const honest = new LocalDataPlane(
    { cacheDir: join(stateDir, 'cache') },
    { askTicket: () => Promise.reject(new Error('nothing is fetched')), now: () => performance.now() },
  );
  new StoreServer({
    net: fault === 'altered' ? altering : net,
    store: describedStore(),
    signingKey: signingKeyFromSeed(signingKeyName(peerId), seed),
    tickets: fault in NAR_FAULTS ? new HostileNars(fault as NarFault) : honest,
    logger: silentLogger,
  }).start();
}
await net.start();
console.log('up');
