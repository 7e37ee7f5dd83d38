import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Logger } from '@mesh/net';
import {
  encodeBase32,
  fingerprintOf,
  type PathDescription,
  parseStorePath,
  printNarInfo,
  type SigningKey,
} from '@mesh/nix';
import { CoalescedQuestions } from '../coalesced-questions.ts';
import { messageOf, TransferError } from '../errors.ts';
import type { ProbableHolders } from '../holdings/probable-holders.ts';
import type { TransferNet } from '../net.ts';
import { foreignSignatures, type Vouchers, type Vouching, vouchingFor } from '../path-info-verification.ts';
import type { StoreClient } from '../store-client.ts';
import type { StoreReader } from '../store-reader.ts';
import { narUrl } from './cache-request.ts';
import {
  ASK_TIMEOUT_MS,
  MAX_ASKED,
  MAX_RULED_OUT,
  QUESTION_HASH_PARTS,
  QUESTIONS_AT_ONCE,
  VERIFICATIONS_AT_ONCE,
} from './constants.ts';
import { type FoundPath, KnownPaths } from './known-paths.ts';

export interface PathFinderComponents {
  readonly net: Pick<TransferNet, 'connectedMembers'>;
  readonly store: Pick<StoreReader, 'pathInfos' | 'pathsFromHashParts'>;
  readonly client: Pick<StoreClient, 'pathInfos' | 'label'>;
  readonly holders: ProbableHolders;
  readonly vouchers: Vouchers;
  /** This machine's, put on what was verified. */
  readonly signingKey: SigningKey;
  /** A member described a path wrongly, or sent something else for it. */
  readonly onBadPeer: (fault: TransferError & { peerId: string }) => void;
  readonly logger: Pick<Logger, 'debug'>;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

const LIMITS = { keysPerQuestion: QUESTION_HASH_PARTS, questionsAtOnce: QUESTIONS_AT_ONCE };

/** Finds out what there is under a hash part, here and at the members; thousands of questions at once become a few. */
export class PathFinder {
  readonly #components: PathFinderComponents;
  readonly #known = new KnownPaths();
  readonly #own: CoalescedQuestions<PathDescription>;
  readonly #members = new Map<string, CoalescedQuestions<PathDescription>>();
  readonly #finding = new Map<string, Promise<FoundPath | undefined>>();
  /** `peer id, hash part` of what was proved wrong. */
  readonly #ruledOut = new Set<string>();
  #checked = 0;

  constructor(components: PathFinderComponents) {
    this.#components = components;
    this.#own = new CoalescedQuestions((hashParts) => this.#askOwn(hashParts), LIMITS);
  }

  /** What is in memory, and still good enough. */
  known(hashPart: string): FoundPath | undefined {
    const connected = this.#components.net.connectedMembers();
    return this.#known.get(hashPart, this.#components.now(), (peerId) => connected.includes(peerId));
  }

  /** A verified description and who has the path; undefined where nobody has. Members that do not answer in time count as not having it. */
  find(hashPart: string): Promise<FoundPath | undefined> {
    let finding = this.#finding.get(hashPart);
    if (finding === undefined) {
      finding = this.#find(hashPart).finally(() => this.#finding.delete(hashPart));
      this.#finding.set(hashPart, finding);
    }
    return finding;
  }

  /** What was known of it proved to be out of date. */
  forget(hashPart: string): void {
    this.#known.forget(hashPart);
  }

  forgetAll(): void {
    this.#known.clear();
  }

  /** The member is not asked for this path again; said once. */
  blame(fault: TransferError & { peerId: string }, hashPart: string): void {
    const pair = `${fault.peerId} ${hashPart}`;
    if (this.#ruledOut.has(pair)) return;
    this.#ruledOut.add(pair);
    for (const oldest of this.#ruledOut) {
      if (this.#ruledOut.size <= MAX_RULED_OUT) break;
      this.#ruledOut.delete(oldest);
    }
    this.#components.onBadPeer(fault);
  }

  isRuledOut(peerId: string, hashPart: string): boolean {
    return this.#ruledOut.has(`${peerId} ${hashPart}`);
  }

  dropPeer(peerId: string): void {
    this.#members.delete(peerId);
  }

  async #find(hashPart: string): Promise<FoundPath | undefined> {
    const own = await this.#own.ask(hashPart);
    const found =
      own === undefined
        ? await this.#findAtMembers(hashPart)
        : this.#found(own, this.#ownSignatures(own), true);
    if (found !== undefined) this.#known.remember(hashPart, found, this.#components.now());
    return found;
  }

  /** The first verified answer counts; who confirms it later is another holder. */
  async #findAtMembers(hashPart: string): Promise<FoundPath | undefined> {
    const asked = this.#whomToAsk(hashPart);
    const first = Promise.withResolvers<FoundPath | undefined>();
    let found: FoundPath | undefined;
    const questions = asked.map(async (peerId) => {
      const info = await this.#memberQuestions(peerId).ask(hashPart);
      if (info === undefined) return;
      const vouching = await this.#verify(info, peerId, hashPart);
      if (vouching === undefined) return;
      if (found === undefined) {
        found = this.#found(info, this.#memberSignatures(info, vouching), false);
        first.resolve(found);
      }
      // Members may have built the same path with other contents: each serves what it described.
      if (Buffer.compare(found.info.narHash, info.narHash) === 0) found.holders.push(peerId);
    });
    void Promise.all(questions).then(() => first.resolve(found), first.reject);
    return first.promise;
  }

  #whomToAsk(hashPart: string): string[] {
    const { holders, net } = this.#components;
    const connected = new Set(net.connectedMembers());
    const probable = holders.ofHash(hashPart).slice(0, MAX_ASKED);
    return [...new Set([...probable, ...holders.unknown()])].filter(
      (peerId) => connected.has(peerId) && !this.isRuledOut(peerId, hashPart),
    );
  }

  #memberQuestions(peerId: string): CoalescedQuestions<PathDescription> {
    let questions = this.#members.get(peerId);
    if (questions === undefined) {
      questions = new CoalescedQuestions((hashParts) => this.#askMember(peerId, hashParts), LIMITS);
      this.#members.set(peerId, questions);
    }
    return questions;
  }

  async #askOwn(hashParts: readonly string[]): Promise<Map<string, PathDescription>> {
    const { store } = this.#components;
    const paths = await store.pathsFromHashParts(hashParts);
    const infos = paths.size === 0 ? new Map() : await store.pathInfos([...paths.values()]);
    return byHashPart(infos.values());
  }

  async #askMember(peerId: string, hashParts: readonly string[]): Promise<Map<string, PathDescription>> {
    const { client, logger } = this.#components;
    try {
      const signal = AbortSignal.timeout(ASK_TIMEOUT_MS);
      return byHashPart(await client.pathInfos(peerId, hashParts, { signal }));
    } catch (error) {
      logger.debug({ peerId, reason: messageOf(error) }, 'a member did not describe paths it was asked for');
      return new Map();
    }
  }

  async #verify(info: PathDescription, peerId: string, hashPart: string): Promise<Vouching | undefined> {
    this.#checked += 1;
    if (this.#checked % VERIFICATIONS_AT_ONCE === 0) await turnOfTheLoop();
    const vouching = vouchingFor(info, this.#components.vouchers);
    if (vouching !== undefined) return vouching;
    const { name } = this.#components.client.label(peerId);
    const fault = new TransferError(
      'TRANSFER_BAD_SIGNATURE',
      `${name} described ${info.path} without a valid signature of a member that may build; it is not asked for this path again.`,
      { peerId, path: info.path },
    );
    this.blame(fault as TransferError & { peerId: string }, hashPart);
    return undefined;
  }

  #found(info: PathDescription, signatures: readonly string[], own: boolean): FoundPath {
    const told: PathDescription = { ...info, signatures };
    const url = narUrl(parseStorePath(info.path).hashPart, encodeBase32(info.narHash));
    const narInfo = Buffer.from(printNarInfo({ ...told, url, compression: 'none' }));
    return { info: told, own, holders: [], narInfo };
  }

  /** The signatures Nix has, and this machine's: what is valid here its Nix has checked. */
  #ownSignatures(info: PathDescription): string[] {
    const ours = this.#components.signingKey.sign(fingerprintOf(info));
    return [ours, ...info.signatures.filter((signature) => signature !== ours)];
  }

  #memberSignatures(info: PathDescription, vouching: Vouching): string[] {
    const foreign = foreignSignatures(info);
    // A signature covers no content address: one of ours would make believable, without it, what only that vouches for.
    if (vouching.by === 'content') return foreign;
    const ours = this.#components.signingKey.sign(fingerprintOf(info));
    const theirs = vouching.by === 'member' && vouching.signature !== ours ? [vouching.signature] : [];
    return [ours, ...theirs, ...foreign];
  }
}

function byHashPart(infos: Iterable<PathDescription>): Map<string, PathDescription> {
  return new Map([...infos].map((info) => [parseStorePath(info.path).hashPart, info]));
}
