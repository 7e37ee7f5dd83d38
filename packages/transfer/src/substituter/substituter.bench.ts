/**
 * How fast the binary cache answers what it has in memory: a client process, one connection kept open, one question after another.
 * Run: node --conditions=@mesh/source packages/transfer/src/substituter/substituter.bench.ts [REQUESTS]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { fileURLToPath } from 'node:url';
import { generateIdentity, silentLogger } from '@mesh/net';
import { parseStorePath, signingKeyFromSeed } from '@mesh/nix';
import { agentVouchers, signingKeyName } from '../path-info-verification.ts';
import { StoreClient } from '../store-client.ts';
import { memoryNars } from '../test-support/memory-nars.ts';
import { MemoryLan } from '../test-support/memory-net.ts';
import { MemoryStore } from '../test-support/memory-store.ts';
import { PathFinder } from './path-finder.ts';
import { Substituter } from './substituter.ts';

const REQUESTS = Number(process.argv[2] ?? 1_000);
const PATHS = 1_000;

/** What the client process is told: where to ask, and for which hash parts. */
interface Task {
  readonly url: string;
  readonly hashParts: readonly string[];
  readonly requests: number;
}

async function serve(): Promise<void> {
  const identity = generateIdentity();
  const node = new MemoryLan().join(identity.peerId, 'here');
  const store = new MemoryStore();
  const hashParts = Array.from(
    { length: PATHS },
    (_, index) => parseStorePath(store.add(`path-${index}`)).hashPart,
  );
  const client = new StoreClient(node);
  const finder = new PathFinder({
    net: node,
    store,
    client,
    holders: { of: () => [], ofHash: () => [], unknown: () => [] },
    vouchers: agentVouchers(identity.peerId, node, []),
    signingKey: signingKeyFromSeed(signingKeyName(identity.peerId), identity.seed),
    onBadPeer: () => undefined,
    logger: silentLogger,
    now: () => performance.now(),
  });
  const substituter = new Substituter(
    { port: 0, priority: 30 },
    {
      finder,
      nars: memoryNars(store, new Map()),
      label: (peerId) => client.label(peerId),
      bestFirst: (holders) => holders,
      onAbsent: () => undefined,
      logger: silentLogger,
    },
  );
  await substituter.start();
  const asking = fork(fileURLToPath(import.meta.url), ['client'], {
    execArgv: ['--conditions=@mesh/source'],
  });
  asking.send({ url: substituter.url!, hashParts, requests: REQUESTS } satisfies Task);
  await once(asking, 'exit');
  await substituter.stop();
}

async function ask({ url, hashParts, requests }: Task): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const one = (hashPart: string) =>
    new Promise<number>((resolve, reject) => {
      const start = performance.now();
      get(`${url}/${hashPart}.narinfo`, { agent }, (response) => {
        response.resume().on('end', () => resolve(performance.now() - start));
      }).on('error', reject);
    });
  // Found once, so that the next answers come from memory.
  for (const hashPart of hashParts) await one(hashPart);
  const times: number[] = [];
  for (let n = 0; n < requests; n += 1) times.push(await one(hashParts[n % hashParts.length]!));
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(share * (times.length - 1))]!.toFixed(3);
  console.log(
    `${requests} narinfos from memory: median ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`,
  );
}

if (process.argv[2] === 'client') {
  process.once('message', (task) => {
    void ask(task as Task).then(() => process.exit(0));
  });
} else {
  await serve();
}
