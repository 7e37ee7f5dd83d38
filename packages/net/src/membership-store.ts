import { join } from 'node:path';
import type { SignedEnvelope } from '@mesh/wire';
import * as v from 'valibot';
import { readStateFile, writeFileAtomically } from './atomic-file.ts';
import type { Clock } from './clock.ts';
import { NetError } from './errors.ts';
import type { Identity } from './identity.ts';
import {
  emptyMembership,
  hasCertificate,
  isRemoved,
  MAX_RECORDS,
  MAX_UNCHAINED_RECORDS,
  type Member,
  type MembershipState,
  type MergeResult,
  membersOf,
  mergeRecords,
  recordsOf,
} from './membership/membership.ts';
import { foundMesh, type Role } from './membership/records.ts';

const base64 = v.pipe(v.string(), v.maxLength(20_000), v.base64());
const fileSchema = v.object({
  version: v.literal(1),
  meshId: v.string(),
  records: v.pipe(
    v.array(v.object({ payload: base64, signature: base64 })),
    v.maxLength(MAX_RECORDS + MAX_UNCHAINED_RECORDS),
  ),
});

/** What the store needs. */
export interface MembershipStoreInit {
  stateDir: string;
  identity: Identity;
  /** Name of this machine in a mesh it founds. */
  name: string;
  clock: Clock;
}

/** The membership this agent knows, kept in `stateDir/membership.json`. A first start founds a mesh of one. */
export class MembershipStore {
  readonly #path: string;
  readonly #clock: Clock;
  #state: MembershipState;
  #members: { state: MembershipState; until: number; map: Map<string, Member> } | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(init: MembershipStoreInit, state: MembershipState) {
    this.#path = pathOf(init.stateDir);
    this.#clock = init.clock;
    this.#state = state;
  }

  /** @throws {NetError} `NET_STATE_UNREADABLE` */
  static async load(init: MembershipStoreInit): Promise<MembershipStore> {
    const path = pathOf(init.stateDir);
    const content = await readStateFile(path);
    if (content === undefined) return MembershipStore.#found(init);
    const parsed = v.safeParse(fileSchema, content);
    if (!parsed.success) {
      throw new NetError(
        'NET_STATE_UNREADABLE',
        `The membership in ${path} is garbled or from a newer version: restore it from a backup, or move it away and join the mesh again.`,
      );
    }
    const { meshId, records } = parsed.output;
    const envelopes = records.map(({ payload, signature }) => ({
      payload: new Uint8Array(Buffer.from(payload, 'base64')),
      signature: new Uint8Array(Buffer.from(signature, 'base64')),
    }));
    const { state } = mergeRecords(emptyMembership(meshId), envelopes);
    // A machine that was given a new identity, which is how a removed one comes back.
    if (!hasCertificate(state, init.identity.peerId)) return MembershipStore.#found(init);
    return new MembershipStore(init, state);
  }

  /** A mesh of one, written down. */
  static async #found(init: MembershipStoreInit): Promise<MembershipStore> {
    const founding = foundMesh(init.identity, init.name, init.clock.now());
    const empty = emptyMembership(init.identity.peerId);
    const store = new MembershipStore(init, mergeRecords(empty, [founding]).state);
    await store.save();
    return store;
  }

  get meshId(): string {
    return this.#state.meshId;
  }

  /** The set of records itself: the same object as long as nothing changed. */
  get state(): MembershipState {
    return this.#state;
  }

  records(): SignedEnvelope[] {
    return recordsOf(this.#state);
  }

  members(): ReadonlyMap<string, Member> {
    const now = this.#clock.now();
    const cached = this.#members;
    if (cached !== undefined && cached.state === this.#state && now < cached.until) return cached.map;
    const map = membersOf(this.#state, now);
    const until = Math.min(...[...map.values()].map(({ expiresAt }) => expiresAt));
    this.#members = { state: this.#state, until, map };
    return map;
  }

  rolesOf(peerId: string): readonly Role[] {
    return this.members().get(peerId)?.roles ?? [];
  }

  isRemoved(peerId: string): boolean {
    return isRemoved(this.#state, peerId);
  }

  /** Adds records; {@link save} puts them on disk. */
  merge(records: readonly SignedEnvelope[]): MergeResult {
    const result = mergeRecords(this.#state, records);
    this.#state = result.state;
    return result;
  }

  /** Moves to another mesh, on disk first: a crash leaves this agent in one mesh or the other. */
  async replace(state: MembershipState): Promise<void> {
    await this.#write(state);
    this.#state = state;
  }

  /** Writes what is known now; resolves when it, or something newer, is on disk. */
  async save(): Promise<void> {
    await this.#write();
  }

  #write(state?: MembershipState): Promise<void> {
    const write = this.#writing.then(async () => {
      const { meshId } = state ?? this.#state;
      const records = recordsOf(state ?? this.#state).map(({ payload, signature }) => ({
        payload: Buffer.from(payload).toString('base64'),
        signature: Buffer.from(signature).toString('base64'),
      }));
      await writeFileAtomically(this.#path, `${JSON.stringify({ version: 1, meshId, records }, null, 1)}\n`);
    });
    // The next write has its turn whatever becomes of this one, whose error its own caller gets.
    this.#writing = write.catch(() => undefined);
    return write;
  }
}

function pathOf(stateDir: string): string {
  return join(stateDir, 'membership.json');
}
