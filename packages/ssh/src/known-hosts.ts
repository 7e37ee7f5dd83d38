import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { SSH_PORT } from './constants.ts';
import { SshError } from './errors.ts';

/** A public key as it goes over the wire, and its type, e.g. `ssh-ed25519`. */
export interface HostKey {
  readonly type: string;
  readonly blob: Buffer;
}

/** What `known_hosts` files say of one host. */
export interface KnownHost {
  /** Keys it may show. */
  readonly keys: readonly HostKey[];
  /** Keys that are refused whoever shows them under this name. */
  readonly revoked: readonly HostKey[];
  /** Keys of the same host name without a port: they help to recognise it and count for nothing else. */
  readonly withoutPort: readonly HostKey[];
}

export type HostKeyVerdict = 'known' | 'unknown' | 'changed' | 'revoked';

/** The type a key's wire form begins with. @throws SshError SSH_BAD_CONFIG */
export function hostKeyOf(blob: Uint8Array): HostKey {
  const bytes = Buffer.from(blob);
  const length = bytes.length >= 4 ? bytes.readUInt32BE(0) : 0;
  const type = bytes.subarray(4, 4 + length).toString('latin1');
  if (length === 0 || length > 64 || bytes.length < 4 + length || !/^[a-z0-9@.-]+$/.test(type))
    throw new SshError(
      'SSH_BAD_CONFIG',
      'This is no public host key: give what `ssh-keyscan HOST` prints after the type.',
    );
  return { type, blob: bytes };
}

/**
 * A host key as people write one down: the base64 of its wire form, a `.pub` line, or the base64 of such a line as Nix's
 * machines file has it. @throws SshError SSH_BAD_CONFIG
 */
export function parsePinnedHostKey(text: string): HostKey {
  const fields = text.trim().split(/\s+/);
  const encoded = fields.length > 1 ? fields[1]! : fields[0]!;
  const bytes = Buffer.from(encoded, 'base64');
  const inner = bytes.toString('latin1').trim().split(/\s+/);
  if (fields.length === 1 && inner.length > 1 && /^[a-z0-9@.-]+$/.test(inner[0]!))
    return hostKeyOf(Buffer.from(inner[1]!, 'base64'));
  return hostKeyOf(bytes);
}

/** As OpenSSH prints it. */
export function hostKeyFingerprint(key: HostKey): string {
  return `SHA256:${createHash('sha256').update(key.blob).digest('base64').replace(/=+$/, '')}`;
}

/** What {@link hostKeyFingerprint} gives, as somebody wrote it down. @throws SshError SSH_BAD_CONFIG */
export function parseFingerprint(text: string): string {
  const fingerprint = text.trim().replace(/=+$/, '');
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(fingerprint)) return fingerprint;
  throw new SshError(
    'SSH_BAD_CONFIG',
    `${JSON.stringify(text.slice(0, 80))} is no fingerprint of a key: give what \`ssh-keygen -l\` prints, SHA256: and 43 characters.`,
  );
}

/** The name a host has in `known_hosts`. */
export function knownHostsName(host: string, port: number): string {
  return port === SSH_PORT ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
}

/** The line that makes a key known. */
export function knownHostsLine(host: string, port: number, key: HostKey): string {
  return `${knownHostsName(host, port)} ${key.type} ${key.blob.toString('base64')}`;
}

/**
 * Looks a host up. Lines that are not understood are passed over, as OpenSSH does.
 * Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
 */
export function lookUpHost(texts: readonly string[], host: string, port: number): KnownHost {
  const name = knownHostsName(host, port);
  const plain = host.toLowerCase();
  const keys: HostKey[] = [];
  const revoked: HostKey[] = [];
  const withoutPort: HostKey[] = [];
  for (const line of texts.flatMap((text) => text.split(/\r?\n/))) {
    const entry = parseLine(line);
    if (entry === undefined) continue;
    const here = matches(entry.hosts, name);
    if (entry.marker === '@revoked' && (here || matches(entry.hosts, plain))) revoked.push(entry.key);
    // Certificates of host keys are never asked for.
    if (entry.marker !== undefined) continue;
    if (here) keys.push(entry.key);
    else if (name !== plain && matches(entry.hosts, plain)) withoutPort.push(entry.key);
  }
  return { keys, revoked, withoutPort };
}

/**
 * Whether a host that shows this key is the one it should be. A host of which keys of other types alone are known was asked
 * for those first: that it shows another means that it has them no more.
 */
export function judgeHostKey(known: KnownHost, shown: HostKey): HostKeyVerdict {
  if (known.revoked.some((key) => sameKey(key, shown))) return 'revoked';
  if (known.keys.some((key) => sameKey(key, shown))) return 'known';
  if (known.keys.length > 0) return 'changed';
  return known.withoutPort.some((key) => sameKey(key, shown)) ? 'known' : 'unknown';
}

/** Signature algorithms for host keys, those of known types first, so that a host shows a key that can be compared. */
export function hostKeyAlgorithms(known: readonly HostKey[], all: readonly string[]): string[] {
  const wanted = new Set(known.map(({ type }) => type));
  const isWanted = (algorithm: string): boolean => wanted.has(keyTypeOf(algorithm));
  return [...all.filter(isWanted), ...all.filter((algorithm) => !isWanted(algorithm))];
}

export function sameKey(a: HostKey, b: HostKey): boolean {
  return a.blob.length === b.blob.length && timingSafeEqual(a.blob, b.blob);
}

/** RFC 8332: keys of the type `ssh-rsa` sign with newer hashes under other names. */
function keyTypeOf(algorithm: string): string {
  return algorithm.startsWith('rsa-sha2-') ? 'ssh-rsa' : algorithm;
}

function parseLine(line: string): { marker: string | undefined; hosts: string; key: HostKey } | undefined {
  const fields = line.trim().split(/\s+/);
  const marker = fields[0]?.startsWith('@') ? fields.shift() : undefined;
  const [hosts, type, encoded] = fields;
  if (hosts === undefined || hosts.startsWith('#') || type === undefined || encoded === undefined)
    return undefined;
  const blob = Buffer.from(encoded, 'base64');
  const length = blob.length >= 4 ? blob.readUInt32BE(0) : 0;
  if (blob.subarray(4, 4 + length).toString('latin1') !== type) return undefined;
  return { marker, hosts, key: { type, blob } };
}

function matches(hosts: string, name: string): boolean {
  if (hosts.startsWith('|')) return matchesHash(hosts, name);
  let found = false;
  for (const pattern of hosts.toLowerCase().split(',')) {
    if (pattern.startsWith('!')) {
      if (matchesPattern(pattern.slice(1), name)) return false;
    } else if (matchesPattern(pattern, name)) found = true;
  }
  return found;
}

function matchesHash(hosts: string, name: string): boolean {
  const [, version, salt, hash] = hosts.split('|');
  if (version !== '1' || salt === undefined || hash === undefined) return false;
  const expected = Buffer.from(hash, 'base64');
  const actual = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest();
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

/** `*` and `?` as wildcards; brackets stand for themselves. Linear in both: the text may come from a stranger. */
function matchesPattern(pattern: string, name: string): boolean {
  let p = 0;
  let n = 0;
  let star = -1;
  let resume = 0;
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p++;
      resume = n;
    } else if (pattern[p] === '?' || pattern[p] === name[n]) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++resume;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}
