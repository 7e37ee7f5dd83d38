import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Host, until } from '@mesh/lab';
import { CONTROL_VERSION, type ControlResult, controlResultSchemas, type PeerView } from '@mesh/wire';
import { parse } from 'valibot';

const SOCKET = '/run/mesh/agent.sock';
/** Longer than anything a mesh on one LAN is to take; a test that waits this long has failed. */
const PATIENCE_MS = 30_000;

/** What the agent on a host knows of its mesh, asked without starting a process: for looking often, and for measuring time. */
export async function peersSeenBy(host: Host): Promise<ControlResult<'peers'>> {
  const socket = connect(host.root + SOCKET);
  await once(socket, 'connect');
  socket.write(`${JSON.stringify({ version: CONTROL_VERSION, method: 'peers' })}\n`);
  const [line] = (await text(socket)).split('\n');
  const answer = JSON.parse(line!) as { value: unknown };
  return parse(controlResultSchemas.peers, answer.value);
}

/** Waits until a host's agent sees what `seen` looks for; returns how many milliseconds that took. */
export async function untilSeen(
  host: Host,
  what: string,
  seen: (peers: ControlResult<'peers'>) => boolean,
): Promise<number> {
  const began = performance.now();
  await until(`${host.name}: ${what}`, PATIENCE_MS, async () =>
    seen(await peersSeenBy(host)) ? true : undefined,
  );
  return performance.now() - began;
}

/** Waits until each of these hosts is connected with each other one of them, as its own agent says. */
export async function untilConnected(hosts: readonly Host[]): Promise<number> {
  const began = performance.now();
  for (const host of hosts) {
    await untilSeen(host, 'connected with all', ({ members }) => {
      const up = members.filter(({ connected }) => connected).map(({ name }) => name);
      return hosts.every(({ name }) => up.includes(name));
    });
  }
  return performance.now() - began;
}

/** Names of the members a host's agent knows, sorted. */
export function namesIn(peers: { members: readonly { name: string }[] }): string[] {
  return peers.members.map(({ name }) => name).sort();
}

/** The member of this name. */
export function memberIn(peers: { members: readonly PeerView[] }, name: string): PeerView {
  const member = peers.members.find((candidate) => candidate.name === name);
  if (member === undefined)
    throw new Error(`No member is called ${name}, only ${namesIn(peers).join(', ')}.`);
  return member;
}
