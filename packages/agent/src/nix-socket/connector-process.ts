import { connect, type Socket } from 'node:net';
import * as v from 'valibot';
import { retryWhileFull } from './connect-daemon.ts';
import { type ConnectAnswer, type ConnectRequest, connectRequestSchema } from './connector-messages.ts';

/*
 * A process of its own that connects to nix-daemon in the name of others and hands the connections to the agent. The kernel notes who
 * connects at the moment of connect(2), and an identity belongs to a whole process: here nothing else runs meanwhile.
 */

const own = {
  uid: process.geteuid?.() ?? 0,
  gid: process.getegid?.() ?? 0,
  groups: process.getgroups?.() ?? [],
};

// @types/node leaves it out.
const initGroups = (process as { initgroups?(user: number, extraGroup: number): void }).initgroups;

function become({ uid, gid, groups }: Pick<ConnectRequest, 'uid' | 'gid' | 'groups'>): void {
  if (groups === undefined) initGroups?.call(process, uid, gid);
  else process.setgroups?.(groups);
  process.setegid?.(gid);
  process.seteuid?.(uid);
}

/** Root's powers come back with its user id; those of another user are gone once the caller was root, so that its id comes last. */
function becomeOneself(): void {
  if (own.uid === 0) process.seteuid?.(own.uid);
  process.setegid?.(own.gid);
  process.setgroups?.(own.groups);
  process.seteuid?.(own.uid);
}

/** connect(2) of a Unix socket runs within `connect`, so the identity is needed no longer than this. */
function connectAs(request: ConnectRequest): Socket {
  try {
    become(request);
    // Paused: nothing may be read here that is for whoever gets the connection.
    return connect({ path: request.path }).pause();
  } finally {
    try {
      becomeOneself();
    } catch {
      // Whoever this process is now, it must connect for nobody else.
      process.exit(1);
    }
  }
}

async function answer(request: ConnectRequest): Promise<void> {
  const reply = (message: ConnectAnswer, socket?: Socket): void => void process.send?.(message, socket);
  try {
    reply({ request: request.request }, await retryWhileFull(() => connectAs(request)));
  } catch (error) {
    reply({ request: request.request, error: error instanceof Error ? error.message : String(error) });
  }
}

process.on('message', (message) => void answer(v.parse(connectRequestSchema, message)));
process.on('disconnect', () => process.exit(0));
