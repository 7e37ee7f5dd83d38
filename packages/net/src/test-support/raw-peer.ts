/**
 * A peer that keeps to no protocol: `raw-peer.ts STATE_DIR MULTIADDR`, questions on stdin. Dials with the identity in STATE_DIR, sends
 * bytes on streams of its choice, and prints what became of each as JSON. Run by the tests on lab hosts.
 *
 * @packageDocumentation
 */
import { text } from 'node:stream/consumers';
import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { loadOrCreateIdentity } from '../identity.ts';
import { createNode } from '../node.ts';

/** Bytes to send on one new stream. */
export interface RawQuestion {
  readonly protocol: string;
  /** base64 */
  readonly bytes: string;
  /** Whether to end the writing side after them. */
  readonly end: boolean;
}

/** What became of one question. */
export interface RawAnswer {
  readonly protocol: string;
  /** Bytes that came back, base64. */
  readonly received: string;
  /** Whether the other side gave the stream, or the whole connection, up in time. */
  readonly closed: boolean;
}

const PATIENCE_MS = 8_000;

const [stateDir = '', address = ''] = process.argv.slice(2);
const identity = await loadOrCreateIdentity(stateDir);
const node = await createNode({ identity, listen: [], connectionGater: {} });
await node.start();
let connection: Connection | undefined;

async function ask(question: RawQuestion): Promise<RawAnswer> {
  const received: Uint8Array[] = [];
  const answer = (closed: boolean): RawAnswer => ({
    protocol: question.protocol,
    received: Buffer.concat(received).toString('base64'),
    closed,
  });
  try {
    if (connection?.status !== 'open') connection = await node.dial(multiaddr(address));
    const stream = await connection.newStream(question.protocol, {
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const closed = Promise.withResolvers<boolean>();
    stream.addEventListener('message', ({ data }) => received.push(data.subarray()));
    for (const end of ['close', 'remoteCloseWrite'] as const)
      stream.addEventListener(end, () => closed.resolve(true));
    stream.send(Buffer.from(question.bytes, 'base64'));
    if (question.end) await stream.close();
    const timer = setTimeout(() => closed.resolve(false), PATIENCE_MS);
    const isClosed = await closed.promise;
    clearTimeout(timer);
    stream.abort(new Error('enough'));
    return answer(isClosed);
  } catch {
    // Turned away while connecting or while the protocol was agreed on.
    return answer(true);
  }
}

const answers: RawAnswer[] = [];
for (const question of JSON.parse(await text(process.stdin)) as RawQuestion[])
  answers.push(await ask(question));
process.stdout.write(JSON.stringify(answers));
await node.stop();
