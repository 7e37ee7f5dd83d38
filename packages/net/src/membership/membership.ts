import type { SignedEnvelope } from '@mesh/wire';
import {
  ALL_ROLES,
  type Certificate,
  type MembershipRecord,
  openRecord,
  type Removal,
  type Role,
} from './records.ts';

/** An admin's admin's admin … of the founder: further away than this, nobody can say where a member came from. */
export const MAX_CHAIN_DEPTH = 8;
/** Records of admins, kept for good. */
export const MAX_RECORDS = 4_096;
/** Records whose issuer is not (yet) known to be an admin, kept in case its own certificate is still on its way. */
export const MAX_UNCHAINED_RECORDS = 256;

/** A member as the records make it. Times are wall-clock milliseconds. */
export interface Member {
  peerId: string;
  name: string;
  roles: readonly Role[];
  expiresAt: number;
  issuer: string;
}

interface Entry {
  record: MembershipRecord;
  envelope: SignedEnvelope;
}

/**
 * Every record known of one mesh. A set that only grows: merging is a union, so order, repetition and grouping do not matter, and
 * any two agents that have heard the same have the same members.
 */
export interface MembershipState {
  readonly meshId: string;
  /** By payload, hexadecimal. */
  readonly entries: ReadonlyMap<string, Entry>;
}

/** What became of records that were offered. */
export interface MergeResult {
  state: MembershipState;
  /** New here: to be told to others. */
  accepted: SignedEnvelope[];
  /** Why the others were not taken, a sentence each. Records that were there already are in neither list. */
  rejected: string[];
}

export function emptyMembership(meshId: string): MembershipState {
  return { meshId, entries: new Map() };
}

/** `state` with `records` added, each checked on its own: form, mesh, signature. Whether they count is decided by {@link membersOf}. */
export function mergeRecords(state: MembershipState, records: readonly SignedEnvelope[]): MergeResult {
  const entries = new Map(state.entries);
  const added: string[] = [];
  const rejected: string[] = [];
  for (const envelope of records) {
    const key = Buffer.from(envelope.payload).toString('hex');
    if (entries.has(key)) continue;
    try {
      const record = openRecord(envelope);
      if (record.meshId !== state.meshId)
        throw new Error('A membership record is of another mesh and was ignored.');
      entries.set(key, { record, envelope });
      added.push(key);
    } catch (error) {
      rejected.push(error instanceof Error ? error.message : String(error));
    }
  }
  for (const key of overflow(state.meshId, entries)) {
    entries.delete(key);
    rejected.push('There are too many membership records; one was ignored.');
  }
  const accepted = added.flatMap((key) => entries.get(key)?.envelope ?? []);
  return { state: accepted.length === 0 ? state : { meshId: state.meshId, entries }, accepted, rejected };
}

/** All records, in an order that depends on nothing but themselves. */
export function recordsOf(state: MembershipState): SignedEnvelope[] {
  return [...state.entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { envelope }]) => envelope);
}

/**
 * The members at `now`. A certificate counts if the founder issued it, or an admin with a certificate that counts, was not expired
 * then, and was not removed before; chains are at most {@link MAX_CHAIN_DEPTH} long. A removal by such an admin ends the
 * membership of its peer for ever. The founder, whose key is the mesh, cannot be removed.
 */
export function membersOf(state: MembershipState, now: number): Map<string, Member> {
  const { chain, removals } = settle(state.meshId, state.entries);
  const members = new Map<string, Member>();
  for (const [peerId, certificates] of chain) {
    if (removals.has(peerId)) continue;
    const newest = certificates
      .filter((c) => c.expiresAt > now)
      .reduce<Certificate | undefined>(newer, undefined);
    if (newest === undefined) continue;
    const { name, roles, expiresAt, issuer } = newest;
    members.set(peerId, {
      peerId,
      name,
      roles: peerId === state.meshId ? ALL_ROLES : roles,
      expiresAt,
      issuer,
    });
  }
  return members;
}

/** Whether a removal of `peerId` counts, which no later certificate undoes. */
export function isRemoved(state: MembershipState, peerId: string): boolean {
  return settle(state.meshId, state.entries).removals.has(peerId);
}

/** Whether anybody ever certified `peerId`, be it expired, of an unknown issuer or followed by a removal. */
export function hasCertificate(state: MembershipState, peerId: string): boolean {
  return [...state.entries.values()].some(
    ({ record }) => record.type === 'certificate' && record.peerId === peerId,
  );
}

function newer(a: Certificate | undefined, b: Certificate): Certificate {
  if (a === undefined || b.issuedAt > a.issuedAt) return b;
  if (b.issuedAt < a.issuedAt) return a;
  // Two certificates of the same moment: any rule will do as long as everybody has the same.
  return JSON.stringify(b) > JSON.stringify(a) ? b : a;
}

interface Settled {
  /** Certificates that count, by the peer they are for. */
  chain: Map<string, Certificate[]>;
  /** Removals that count, the earliest of each peer: when it was. */
  removals: Map<string, number>;
}

/**
 * Which records count. Certificates depend on removals (their issuer was not removed before) and removals on certificates (their
 * issuer is an admin), so removals are taken one by one in the order of their times: each is judged by what was settled before it.
 */
function settle(meshId: string, entries: ReadonlyMap<string, Entry>): Settled {
  const certificates: Certificate[] = [];
  const candidates: Removal[] = [];
  for (const { record } of entries.values()) {
    if (record.type === 'certificate') certificates.push(record);
    else if (record.peerId !== meshId) candidates.push(record);
  }
  candidates.sort(
    (a, b) => a.removedAt - b.removedAt || (a.peerId < b.peerId ? -1 : 1) || (a.issuer < b.issuer ? -1 : 1),
  );
  const removals = new Map<string, number>();
  let chain = chainOf(meshId, certificates, removals);
  for (const removal of candidates) {
    if (
      removals.has(removal.peerId) ||
      !isAdminAt(meshId, chain, removals, removal.issuer, removal.removedAt)
    )
      continue;
    removals.set(removal.peerId, removal.removedAt);
    chain = chainOf(meshId, certificates, removals);
  }
  return { chain, removals };
}

function chainOf(
  meshId: string,
  certificates: readonly Certificate[],
  removals: ReadonlyMap<string, number>,
): Map<string, Certificate[]> {
  const byIssuer = Map.groupBy(certificates, ({ issuer }) => issuer);
  const chain = new Map<string, Certificate[]>();
  let issuers = [meshId];
  for (let depth = 0; depth < MAX_CHAIN_DEPTH && issuers.length > 0; depth++) {
    const next = new Set<string>();
    for (const issuer of issuers) {
      for (const certificate of byIssuer.get(issuer) ?? []) {
        const own = chain.get(certificate.peerId) ?? [];
        if (own.includes(certificate)) continue;
        if (!isAdminAt(meshId, chain, removals, issuer, certificate.issuedAt)) continue;
        chain.set(certificate.peerId, [...own, certificate]);
        if (certificate.roles.includes('admin')) next.add(certificate.peerId);
      }
    }
    issuers = [...next];
  }
  return chain;
}

function isAdminAt(
  meshId: string,
  chain: ReadonlyMap<string, readonly Certificate[]>,
  removals: ReadonlyMap<string, number>,
  peerId: string,
  at: number,
): boolean {
  if (peerId === meshId) return true;
  const removedAt = removals.get(peerId);
  if (removedAt !== undefined && removedAt < at) return false;
  // Not "issued before": clocks of a LAN differ, and a certificate must not fail because its issuer's issuer was ahead.
  return (chain.get(peerId) ?? []).some(({ roles, expiresAt }) => roles.includes('admin') && expiresAt >= at);
}

/** Keys of the records to give up where there are too many: those of strangers first, by an order of their own. */
function overflow(meshId: string, entries: ReadonlyMap<string, Entry>): string[] {
  if (entries.size <= MAX_UNCHAINED_RECORDS) return [];
  const { chain, removals } = settle(meshId, entries);
  const counts = ({ record }: Entry): boolean =>
    record.type === 'certificate'
      ? (chain.get(record.peerId) ?? []).includes(record)
      : removals.has(record.peerId);
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  const { chained = [], unchained = [] } = Object.groupBy(sorted, ([, entry]) =>
    counts(entry) ? 'chained' : 'unchained',
  );
  return [...chained.slice(MAX_RECORDS), ...unchained.slice(MAX_UNCHAINED_RECORDS)].map(([key]) => key);
}
