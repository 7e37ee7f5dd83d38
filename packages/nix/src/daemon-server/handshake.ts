import type { Trust } from '../daemon/connection.ts';
import {
  CLIENT_MAGIC,
  DAEMON_MAGIC,
  MINOR_WITH_FEATURES,
  MINOR_WITH_TRUST,
  OLDEST_MINOR,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
} from '../daemon/constants.ts';
import { ByteReader, BytesEnd } from './byte-reader.ts';
import { MAX_HANDSHAKE_BYTES } from './constants.ts';
import { isKnownFeature } from './request-layouts.ts';

/** What a client and the real daemon agreed on. */
export interface AgreedHandshake {
  readonly minor: number;
  readonly features: ReadonlySet<string>;
  /** Whether the real daemon trusts this client. */
  readonly trust: Trust;
}

/** How far a handshake has come; `clientBytes` is how many of the client's bytes belong to it for certain. */
export type HandshakeProgress =
  | { readonly type: 'going-on'; readonly clientBytes: number }
  | {
      readonly type: 'agreed';
      readonly clientBytes: number;
      readonly daemonBytes: number;
      readonly handshake: AgreedHandshake;
    }
  /** Not what is followed here: everything is to pass as it comes. */
  | {
      readonly type: 'not-followed';
      readonly reason: string;
      /** The client's version of the protocol, where it is too old. */
      readonly minor?: number;
    };

const GREETING_BYTES = 16;
const TRUST: readonly Trust[] = ['unknown', 'trusted', 'untrusted'];

/**
 * Reads both sides of a handshake that others hold, from all their bytes so far.
 * Source: NixOS/nix src/libstore/worker-protocol-connection.cc.
 */
export function followHandshake(fromClient: Buffer, fromDaemon: Buffer): HandshakeProgress {
  if (fromClient.length > MAX_HANDSHAKE_BYTES || fromDaemon.length > MAX_HANDSHAKE_BYTES) {
    return { type: 'not-followed', reason: 'the handshake is too long' };
  }
  const client = new ByteReader(fromClient);
  const daemon = new ByteReader(fromDaemon);
  let certain = Math.min(fromClient.length, GREETING_BYTES);
  try {
    if (client.u64() !== CLIENT_MAGIC) return notFollowed('the client does not speak the worker protocol');
    if (daemon.u64() !== DAEMON_MAGIC) return notFollowed('the daemon does not speak the worker protocol');
    const daemonVersion = daemon.u64();
    const clientVersion = client.u64();
    const majors = [clientVersion, daemonVersion].map((version) => Math.floor(version / 256));
    if (majors.some((major) => major !== PROTOCOL_MAJOR)) return notFollowed('a protocol of another kind');
    const minor = Math.min(clientVersion % 256, daemonVersion % 256);
    if (minor < OLDEST_MINOR)
      return { ...notFollowed(`protocol 1.${minor} is older than 1.${OLDEST_MINOR}`), minor };
    if (minor > PROTOCOL_MINOR) return notFollowed(`protocol 1.${minor} is newer than 1.${PROTOCOL_MINOR}`);
    certain = fromClient.length;
    const wanted = minor >= MINOR_WITH_FEATURES ? client.strings() : [];
    // Obsolete: whether a processor follows, and whether to reserve space.
    if (client.flag()) client.u64();
    client.u64();
    certain = client.at;
    const offered = minor >= MINOR_WITH_FEATURES ? daemon.strings() : [];
    const features = new Set(offered).intersection(new Set(wanted));
    const unknown = [...features].find((feature) => !isKnownFeature(feature));
    if (unknown !== undefined) return notFollowed(`the unknown protocol feature ${JSON.stringify(unknown)}`);
    daemon.string();
    const trust = minor >= MINOR_WITH_TRUST ? (TRUST[daemon.u64()] ?? 'unknown') : 'unknown';
    return {
      type: 'agreed',
      clientBytes: client.at,
      daemonBytes: daemon.at,
      handshake: { minor, features, trust },
    };
  } catch (error) {
    if (error instanceof BytesEnd) return { type: 'going-on', clientBytes: certain };
    throw error;
  }
}

function notFollowed(reason: string) {
  return { type: 'not-followed' as const, reason };
}
