import type { SignedEnvelope } from '@mesh/wire';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateIdentity, type Identity } from '../identity.ts';
import {
  emptyMembership,
  MAX_CHAIN_DEPTH,
  MAX_UNCHAINED_RECORDS,
  type MembershipState,
  membersOf,
  mergeRecords,
  recordsOf,
} from './membership.ts';
import { foundMesh, type Role, signRecord } from './records.ts';

const NOW = 1_000_000;
const FAR = 10 * NOW;
const people = Array.from({ length: 12 }, () => generateIdentity());
const founder = people[0]!;
const [, ann, bob, cas] = people as [Identity, Identity, Identity, Identity];
const meshId = founder.peerId;

interface CertificateOptions {
  roles?: Role[];
  at?: number;
  until?: number;
}

function certify(issuer: Identity, peer: Identity, options: CertificateOptions = {}): SignedEnvelope {
  const { roles = ['build', 'submit'], at = NOW - 100, until = FAR } = options;
  const { peerId } = peer;
  return signRecord(
    {
      type: 'certificate',
      version: 1,
      meshId,
      peerId,
      name: 'x',
      roles,
      issuedAt: at,
      expiresAt: until,
      issuer: issuer.peerId,
    },
    issuer,
  );
}

function removal(issuer: Identity, peer: Identity, at = NOW): SignedEnvelope {
  return signRecord(
    { type: 'removal', version: 1, meshId, peerId: peer.peerId, removedAt: at, issuer: issuer.peerId },
    issuer,
  );
}

const founding = foundMesh(founder, 'founder', 0);
const admin: CertificateOptions = { roles: ['build', 'submit', 'admin'] };

function merged(...records: SignedEnvelope[]): MembershipState {
  return mergeRecords(emptyMembership(meshId), records).state;
}
function names(state: MembershipState, now = NOW): string[] {
  return [...membersOf(state, now).keys()]
    .map((peerId) => `p${people.findIndex((p) => p.peerId === peerId)}`)
    .sort();
}

describe('membersOf', () => {
  it('has the founder of a new mesh as its only member, with every role', () => {
    expect(membersOf(merged(founding), NOW).get(meshId)?.roles).toEqual(['build', 'submit', 'admin']);
    expect(names(merged(founding))).toEqual(['p0']);
  });

  it('counts whom the founder certified', () => {
    expect(names(merged(founding, certify(founder, ann)))).toEqual(['p0', 'p1']);
  });

  it('counts whom an admin certified, and nobody else does', () => {
    expect(names(merged(founding, certify(founder, ann, admin), certify(ann, bob)))).toEqual([
      'p0',
      'p1',
      'p2',
    ]);
    expect(names(merged(founding, certify(founder, ann), certify(ann, bob)))).toEqual(['p0', 'p1']);
    expect(names(merged(founding, certify(ann, bob, admin), certify(bob, ann, admin)))).toEqual(['p0']);
  });

  it('ends a membership when its certificate expires', () => {
    const state = merged(founding, certify(founder, ann, { until: NOW + 1 }));
    expect(names(state, NOW)).toEqual(['p0', 'p1']);
    expect(names(state, NOW + 1)).toEqual(['p0']);
  });

  it('takes the newest certificate of a peer', () => {
    const state = merged(
      founding,
      certify(founder, ann, { ...admin, at: 1 }),
      certify(founder, ann, { roles: ['build'], at: 2 }),
    );
    expect(membersOf(state, NOW).get(ann.peerId)?.roles).toEqual(['build']);
  });

  it('lets a removal win over every certificate, later ones too', () => {
    const state = merged(
      founding,
      certify(founder, ann),
      removal(founder, ann),
      certify(founder, ann, { at: NOW + 50 }),
    );
    expect(names(state, NOW + 100)).toEqual(['p0']);
  });

  it('keeps whom an admin certified before its own removal, and not after', () => {
    const state = merged(
      founding,
      certify(founder, ann, admin),
      certify(ann, bob, { at: NOW - 10 }),
      removal(founder, ann, NOW),
      certify(ann, cas, { at: NOW + 10 }),
    );
    expect(names(state, NOW + 20)).toEqual(['p0', 'p2']);
  });

  it('lets the first of two admins that remove each other win', () => {
    const state = merged(
      founding,
      certify(founder, ann, admin),
      certify(founder, bob, admin),
      removal(ann, bob, NOW),
      removal(bob, ann, NOW + 1),
    );
    expect(names(state, NOW + 10)).toEqual(['p0', 'p1']);
  });

  it('ignores a removal by somebody who is no admin, and any of the founder', () => {
    const state = merged(
      founding,
      certify(founder, ann),
      certify(founder, bob, admin),
      removal(ann, bob),
      removal(bob, founder),
    );
    expect(names(state)).toEqual(['p0', 'p1', 'p2']);
  });

  it(`follows chains of admins ${MAX_CHAIN_DEPTH} deep and no deeper`, () => {
    const chain = people.slice(1).map((peer, i) => certify(people[i]!, peer, admin));
    expect(membersOf(merged(founding, ...chain), NOW).size).toBe(1 + MAX_CHAIN_DEPTH);
  });
});

describe('mergeRecords', () => {
  it('refuses records of another mesh, forged ones, and nonsense', () => {
    const other = signRecord(
      {
        type: 'removal',
        version: 1,
        meshId: ann.peerId,
        peerId: bob.peerId,
        removedAt: 1,
        issuer: ann.peerId,
      },
      ann,
    );
    const forged = { ...certify(founder, ann), signature: certify(founder, bob).signature };
    const nonsense = { payload: Uint8Array.of(1, 2, 3), signature: new Uint8Array(64) };
    const { state, accepted, rejected } = mergeRecords(merged(founding), [other, forged, nonsense]);
    expect(accepted).toEqual([]);
    expect(rejected).toHaveLength(3);
    expect(names(state)).toEqual(['p0']);
  });

  it('keeps a bounded number of records nobody vouches for, and still takes good ones', () => {
    const junk = Array.from({ length: MAX_UNCHAINED_RECORDS + 50 }, (_, at) => certify(ann, bob, { at }));
    const state = mergeRecords(mergeRecords(merged(founding), junk).state, [certify(founder, cas)]).state;
    expect(state.entries.size).toBe(MAX_UNCHAINED_RECORDS + 2);
    expect(names(state)).toEqual(['p0', 'p3']);
  });

  const person = fc.constantFrom(...people.slice(0, 5));
  const times = fc.integer({ min: NOW - 3, max: NOW + 3 });
  const role = fc.constantFrom<CertificateOptions>(admin, {});
  const record = fc.oneof(
    fc.tuple(person, person, times, role).map(([a, b, at, options]) => certify(a, b, { ...options, at })),
    fc.tuple(person, person, times).map(([a, b, at]) => removal(a, b, at)),
  );
  const records = fc.array(record, { maxLength: 8 });
  const content = (state: MembershipState) => ({ records: recordsOf(state), members: membersOf(state, NOW) });
  const union = (a: MembershipState, b: MembershipState) => mergeRecords(a, recordsOf(b)).state;

  it('is commutative, associative and idempotent', () => {
    fc.assert(
      fc.property(records, records, records, (x, y, z) => {
        const [a, b, c] = [merged(founding, ...x), merged(...y), merged(...z)];
        expect(content(union(a, b))).toEqual(content(union(b, a)));
        expect(content(union(union(a, b), c))).toEqual(content(union(a, union(b, c))));
        expect(union(a, a)).toBe(a);
      }),
      { numRuns: 60 },
    );
  });

  it('gives the same members in whatever order and grouping records come, repeated or not', () => {
    const shuffled = records.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray([...list, ...list], { minLength: list.length * 2 })),
    );
    fc.assert(
      fc.property(shuffled, ([list, again]) => {
        const oneByOne = again.reduce((state, one) => mergeRecords(state, [one]).state, merged(founding));
        expect(content(oneByOne)).toEqual(content(merged(founding, ...list)));
      }),
      { numRuns: 60 },
    );
  });
});
