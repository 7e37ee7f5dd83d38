import { readFileSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { connect } from 'node:net';
import { freemem, networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { DaemonClient, systemInfo } from '@mesh/nix';
import { readSettings } from '../config/settings.ts';
import { CONNECT_TIMEOUT_MS } from './constants.ts';
import type { AbsentMember, AgentFacts, DoctorFacts, Known, MulticastFacts, StateDirFacts } from './facts.ts';
import { probeMulticast } from './multicast-probe.ts';

/** What the examination is told. */
export interface GatherInit {
  readonly commandVersion: string;
  readonly stateDir: string;
  /** Where the agent's sockets may be, in order. */
  readonly socketDirs: readonly string[];
  readonly askAgent: () => Promise<AgentFacts>;
}

/** Finds out all that the checks look at, at once; takes some three seconds, most of it for listening to the network. */
export async function gatherFacts(init: GatherInit): Promise<DoctorFacts> {
  const { stateDir } = init;
  const agent = await known(init.askAgent);
  const config = await known(async () => readSettings(stateDir, {}));
  const mdns = agent.ok ? agent.value.doctor.mdns : !config.ok || config.value.mdns;
  const [nix, daemon, port, nixSocket, state, storeFreeBytes, stateFreeBytes, multicast, absent] =
    await Promise.all([
      known(async () => systemInfo()),
      known(daemonTrust),
      agent.ok ? portFacts(agent.value.status.addresses) : undefined,
      agent.ok ? nixSocketFacts(init.socketDirs) : ('unknown' as const),
      stateDirFacts(stateDir),
      freeBytes('/nix/store'),
      freeBytesAbove(stateDir),
      mdns ? multicastFacts(agent.ok ? agent.value.status.addresses : undefined) : undefined,
      agent.ok ? absentMembers(agent.value) : [],
    ]);
  return {
    platform: process.platform,
    commandVersion: init.commandVersion,
    uid: process.getuid?.() ?? -1,
    nix,
    daemon,
    agent,
    port,
    nixSocket,
    // A file that this user may not read is no mistake in it.
    config: config.ok || !state.mayLook ? { ok: true, value: true } : config,
    stateDir: state,
    storeFreeBytes,
    stateFreeBytes,
    memoryAvailableBytes: freemem(),
    inotify: inotifyLimits(),
    multicast,
    absent,
  };
}

async function known<T>(find: () => Promise<T>): Promise<Known<T>> {
  try {
    return { ok: true, value: await find() };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

async function daemonTrust(): Promise<{ trust: DaemonClient['trust'] }> {
  const client = await DaemonClient.connect();
  try {
    return { trust: client.trust };
  } finally {
    client.close();
  }
}

async function portFacts(addresses: readonly string[]): Promise<DoctorFacts['port']> {
  const plain = addresses.map(hostAndPort).filter((address) => address !== undefined);
  const [first] = plain;
  if (first === undefined) return undefined;
  const outcomes = await Promise.all(plain.map(call));
  const open = outcomes.indexOf('answers');
  const shown = plain[open] ?? first;
  return { address: `${shown.host} TCP ${shown.port}`, open: open >= 0 };
}

async function nixSocketFacts(socketDirs: readonly string[]): Promise<DoctorFacts['nixSocket']> {
  for (const dir of socketDirs) {
    const path = join(dir, 'nix.sock');
    const there = await known(() => stat(path));
    if (there.ok) return (await connects({ path })) === 'answers' ? 'answers' : 'refused';
  }
  return 'absent';
}

async function stateDirFacts(path: string): Promise<StateDirFacts> {
  try {
    const { mode, uid } = await stat(path);
    const own = process.getuid?.();
    return { path, mode: mode & 0o7777, uid, mayLook: own === 0 || own === uid };
  } catch (error) {
    return { path, mayLook: (error as NodeJS.ErrnoException).code === 'ENOENT' };
  }
}

/** Undefined where the folder is not there, or may not be looked at. */
async function freeBytes(path: string): Promise<number | undefined> {
  const found = await known(() => statfs(path));
  return found.ok ? found.value.bavail * found.value.bsize : undefined;
}

/** Of the disk a folder is on, or will be. */
async function freeBytesAbove(path: string): Promise<number | undefined> {
  const free = await freeBytes(path);
  return free !== undefined || dirname(path) === path ? free : freeBytesAbove(dirname(path));
}

function inotifyLimits(): DoctorFacts['inotify'] {
  const read = (name: string) => Number(readFileSync(`/proc/sys/fs/inotify/${name}`, 'utf8'));
  try {
    return { watches: read('max_user_watches'), instances: read('max_user_instances') };
  } catch (error) {
    // Other systems have no such limits, a container may not show them.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** On the interfaces whose addresses the agent tells others; without an agent, on all that are no loopback. */
async function multicastFacts(told: readonly string[] | undefined): Promise<MulticastFacts[]> {
  const hosts = told?.map((address) => hostAndPort(address)?.host);
  const links = Object.entries(networkInterfaces()).flatMap(([name, infos]) =>
    (infos ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && !internal)
      .filter(({ address }) => hosts === undefined || hosts.includes(address))
      .map(({ address }) => ({ name, address })),
  );
  return await Promise.all(links.map(({ name, address }) => probeMulticast(name, address)));
}

async function absentMembers({ peers }: AgentFacts): Promise<AbsentMember[]> {
  const absent = peers.members.filter(({ self, connected }) => !self && !connected);
  return await Promise.all(
    absent.map(async ({ name, addresses }) => {
      const plain = addresses.map(hostAndPort).filter((address) => address !== undefined);
      const calls = plain.map(async (at) => ({
        address: `${at.host} TCP ${at.port}`,
        outcome: await call(at),
      }));
      return { name, calls: await Promise.all(calls) };
    }),
  );
}

/** Of a multiaddr with an IP address. */
function hostAndPort(multiaddr: string): { host: string; port: number } | undefined {
  const [, host, port] = /^\/ip[46]\/([^/]+)\/tcp\/(\d+)/.exec(multiaddr) ?? [];
  return host === undefined ? undefined : { host, port: Number(port) };
}

function call({ host, port }: { host: string; port: number }): Promise<'answers' | 'refused' | 'silent'> {
  return connects({ host, port });
}

function connects(
  to: { host: string; port: number } | { path: string },
): Promise<'answers' | 'refused' | 'silent'> {
  return new Promise((resolve) => {
    const socket = connect(to);
    const settle = (outcome: 'answers' | 'refused' | 'silent') => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => settle('silent'));
    socket.once('connect', () => settle('answers'));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      settle(error.code === 'ECONNREFUSED' ? 'refused' : 'silent'),
    );
  });
}
