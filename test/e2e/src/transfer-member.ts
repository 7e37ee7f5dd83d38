import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Host, repositoryRoot, until } from '@mesh/lab';

const PROGRAM = join(repositoryRoot, 'packages/transfer/src/test-support/transfer-host.ts');
const NODE = join(repositoryRoot, 'node_modules/.bin/node');
const SOCKET = '/run/transfer-test.sock';

/** What a member with nothing but network and transfer says of itself. */
export interface State {
  peerId: string;
  connected: string[];
  faults: { code: string; path: string; peerId: string; message: string }[];
  counters: { nars: number; sentBytes: number; fetchedPaths: number; badPeers: number };
}

/** Asks the member on a host; an error comes back as it was thrown there. */
export async function ask<T>(host: Host, question: object): Promise<T> {
  const socket = connect(host.root + SOCKET);
  await once(socket, 'connect');
  socket.end(JSON.stringify(question));
  const { result, error } = JSON.parse(await text(socket)) as { result: T; error?: { message: string } };
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return result;
}

/** Starts one on a host; returns when it answers. */
export async function startMember(host: Host, ...args: '--mdns'[]): Promise<State> {
  host.spawn([
    NODE,
    '--conditions=@mesh/source',
    PROGRAM,
    host.name,
    '/var/lib/transfer-test',
    SOCKET,
    ...args,
  ]);
  return until(`the member on ${host.name}`, 30_000, () =>
    ask<State>(host, { ask: 'state' }).catch(() => undefined),
  );
}
