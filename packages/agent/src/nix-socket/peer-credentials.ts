import type { Socket } from 'node:net';
import { descriptorOf } from './socket-descriptor.ts';

/** Who is at the other end of a Unix socket, as the kernel noted it when that end connected. */
export interface PeerCredentials {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; undefined where the kernel does not tell. */
  readonly groups?: readonly number[] | undefined;
}

/** @throws Error where the kernel does not say, such as for a connection that is closed already */
export type ReadCredentials = (socket: Socket) => PeerCredentials;

// <asm-generic/socket.h> of Linux.
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
/** `struct ucred`: pid, uid, gid, 32 bits each. */
const UCRED_BYTES = 12;
/** Groups that nearly everybody's fit into, and the most that Linux gives a process. */
const GROUPS_AT_FIRST = 256;
const MAX_GROUPS = 65_536;

/**
 * Node has no call for it, so the C library is called; it is loaded only here.
 * @throws Error where it cannot be called on this machine
 */
export async function credentialsReader(): Promise<ReadCredentials> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load(null);
  if (process.platform === 'linux') {
    const getsockopt = library.func('int getsockopt(int, int, int, _Out_ void *, _Inout_ uint32_t *)');
    return (socket) => linuxCredentials(getsockopt, descriptorOf(socket));
  }
  const getpeereid = library.func('int getpeereid(int, _Out_ uint32_t *, _Out_ uint32_t *)');
  return (socket) => {
    const [uid, gid] = [[0], [0]] as [[number], [number]];
    if (getpeereid(descriptorOf(socket), uid, gid) !== 0) throw unknown();
    return { uid: uid[0], gid: gid[0] };
  };
}

type GetSockOpt = (fd: number, level: number, option: number, value: Buffer, length: [number]) => number;

function linuxCredentials(getsockopt: GetSockOpt, fd: number): PeerCredentials {
  const credentials = Buffer.alloc(UCRED_BYTES);
  const length: [number] = [UCRED_BYTES];
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0 || length[0] !== UCRED_BYTES)
    throw unknown();
  const uid = credentials.readUInt32LE(4);
  const gid = credentials.readUInt32LE(8);
  for (const most of [GROUPS_AT_FIRST, MAX_GROUPS]) {
    const groups = Buffer.alloc(most * 4);
    const bytes: [number] = [groups.length];
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, bytes) !== 0) continue;
    return { uid, gid, groups: Array.from({ length: bytes[0] / 4 }, (_, i) => groups.readUInt32LE(i * 4)) };
  }
  // Linux before 4.13 does not tell the groups.
  return { uid, gid };
}

function unknown(): Error {
  return new Error('the kernel does not say who is at the other end of this connection');
}
