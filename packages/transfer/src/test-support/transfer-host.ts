/**
 * A member with nothing but network and transfer, for end-to-end tests inside a host: `node … transfer-host.ts NAME STATE_DIR SOCKET
 * [--mdns]`.
 * Answers one JSON question per connection to its Unix socket. Warnings go to the standard error output, one JSON line each.
 */
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { createNet, type Logger, silentLogger } from '@mesh/net';
import { DaemonPool } from '@mesh/nix';
import { messageOf } from '../errors.ts';
import type { BadPeer } from '../fetcher.ts';
import type { WantedPath } from '../holders.ts';
import { createTransfer } from '../transfer.ts';

/** What can be asked. */
export type TransferQuestion =
  | { readonly ask: 'invite' }
  | { readonly ask: 'join'; readonly ticket: string }
  | { readonly ask: 'who-has'; readonly paths: readonly string[] }
  | { readonly ask: 'probable-holders'; readonly path: string }
  | { readonly ask: 'fetch'; readonly wanted: readonly WantedPath[] }
  | { readonly ask: 'sign'; readonly paths: readonly string[] }
  | { readonly ask: 'state' };

const [name = '', stateDir = '', socketPath = '', ...flags] = process.argv.slice(2);
const net = await createNet({
  stateDir,
  name,
  discovery: { mdns: flags.includes('--mdns') },
  peers: [],
  agentVersion: 'test',
})({ logger: silentLogger });
const daemon = new DaemonPool();
const warn = (details: object | string, message?: string) => {
  const { err, ...fields } =
    typeof details === 'string' ? { err: undefined } : { err: undefined, ...details };
  console.error(JSON.stringify({ ...fields, message: message ?? details, reason: err && messageOf(err) }));
};
const logger: Logger = { ...silentLogger, warn, error: warn };
const transfer = createTransfer({ stateDir })({ net, daemon, identity: net.identity, logger });
const faults: BadPeer[] = [];
transfer.events.on('bad-peer', (fault) => faults.push(fault));
transfer.start();
await net.start();

async function answer(question: TransferQuestion): Promise<unknown> {
  switch (question.ask) {
    case 'invite':
      return net.invite();
    case 'join':
      return net.join(question.ticket);
    case 'who-has':
      return Object.fromEntries(await transfer.whoHas(question.paths));
    case 'probable-holders':
      return { holders: transfer.holders.of(question.path), unknown: transfer.holders.unknown() };
    case 'fetch': {
      const start = performance.now();
      const result = await transfer.fetchClosure(question.wanted);
      return { ...result, wallMs: performance.now() - start };
    }
    case 'sign':
      return (await transfer.signOutputs(question.paths)).map(({ signatures }) => signatures);
    case 'state':
      return {
        peerId: net.self.peerId,
        connected: net.connectedMembers(),
        faults,
        counters: await transfer.counters(),
        cpuSeconds: (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
        rssBytes: process.memoryUsage.rss(),
      };
  }
}

createServer({ allowHalfOpen: true }, (socket) => {
  void text(socket)
    .then(async (body) => {
      const value = await answer(JSON.parse(body) as TransferQuestion).then(
        (result) => ({ result }),
        (error: unknown) => ({ error: { message: messageOf(error), ...(error as object) } }),
      );
      socket.end(JSON.stringify(value));
    })
    // The asker went away before its answer.
    .catch(() => socket.destroy());
}).listen(socketPath);
