import { NarHasher, NixError, verifyNar, verifyNarSyntax } from '@mesh/nix';
import { isPeerFault, TransferError } from '../errors.ts';
import type { HashCheck, ImportItem } from '../import/import.ts';
import type { PeerLabel } from '../side-channel/nar-connection.ts';
import { findLiars } from './blame.ts';
import { PROGRESS_MS, SMALL_NAR_BYTES } from './limits.ts';
import { NarFetch, type NarFetchComponents, type NarSourceHint } from './nar-fetch.ts';
import type { NarReport } from './nar-report.ts';
import { ReportDiff } from './report-diff.ts';
import { SmallNars } from './small-nars.ts';

/** Hears what becomes of a NAR while it comes, at most every PROGRESS_MS, and at its end. */
export type HearReport = (report: NarReport) => void;

/**
 * NARs of members, checked against the signed infos of the items: small ones whole from one member after another, larger ones in pieces
 * from all that have them. The last chunk comes only when size, hash and syntax are right.
 */
export class PieceNars {
  readonly #components: NarFetchComponents;
  /** Of NARs whose hash the store checks: who gave them. */
  readonly #givers = new WeakMap<ImportItem, readonly PeerLabel[]>();

  readonly #smallNars: SmallNars;

  constructor(components: NarFetchComponents) {
    this.#components = components;
    this.#smallNars = new SmallNars(components.peers);
  }

  /**
   * The chunks of one NAR.
   * @throws TransferError TRANSFER_BAD_HASH of who gave wrong bytes, and what reading from the last source threw
   */
  open(
    item: ImportItem,
    signal: AbortSignal,
    hear: HearReport,
    hash: HashCheck = 'here',
  ): AsyncIterable<Uint8Array> {
    return item.info.narSize <= SMALL_NAR_BYTES
      ? this.#small(item, signal, hear)
      : this.#large(item, signal, hear, hash);
  }

  /**
   * The store found another hash than was signed.
   * @returns the error about the one who gave the NAR; undefined where several did: only reading it anew can tell them apart
   */
  refused(item: ImportItem): TransferError | undefined {
    const [only, ...others] = this.#givers.get(item) ?? [];
    return only === undefined || others.length > 0 ? undefined : badHash(only, item.info.path);
  }

  async *#small(item: ImportItem, signal: AbortSignal, hear: HearReport): AsyncGenerator<Uint8Array> {
    const { info } = item;
    const sources = sourcesOf(item);
    for (const [place, { peer }] of sources.entries()) {
      try {
        const startedMs = this.#components.now();
        const nar = await this.#whole(item, peer, signal);
        const ms = this.#components.now() - startedMs;
        hear({ shares: [{ peer: peer.peerId, bytes: nar.length, ms }], resentBytes: 0, faults: [] });
        yield nar;
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!isPeerFault(error) || place === sources.length - 1) throw error;
        const { code, message } = error;
        const fault = { peerId: peer.peerId, path: info.path, code, message };
        hear({ shares: [], resentBytes: 0, faults: [fault] });
      }
    }
  }

  async #whole({ info }: ImportItem, peer: PeerLabel, signal: AbortSignal): Promise<Uint8Array> {
    const { path, narSize, narHash } = info;
    const nar = await this.#smallNars.read(peer, path, narSize, signal);
    const hasher = new NarHasher();
    try {
      hasher.push(nar);
      if (Buffer.compare(hasher.finish().narHash, narHash) === 0) return nar;
    } catch (error) {
      if (!isBadNar(error)) throw error;
      throw badHash(peer, path, error);
    }
    throw badHash(peer, path);
  }

  async *#large(
    item: ImportItem,
    signal: AbortSignal,
    hear: HearReport,
    hash: HashCheck,
  ): AsyncGenerator<Uint8Array> {
    const { path, narSize } = item.info;
    const { alone } = item;
    const sources = sourcesOf(item);
    const wanted = { path, narSize, sources, ...(alone === undefined ? {} : { alone }) };
    const fetch = new NarFetch(wanted, this.#components);
    const diff = new ReportDiff(path);
    const report = () => {
      const news = diff.next(fetch);
      if (news !== undefined) hear(news);
    };
    const reports = setInterval(report, PROGRESS_MS);
    try {
      const verify = hash === 'here' ? verifyNar : verifyNarSyntax;
      yield* verify(fetch.chunks(signal), item.info);
    } catch (error) {
      if (!isBadNar(error)) throw error;
      throw await this.#blame(item, fetch, error, signal, hear);
    } finally {
      clearInterval(reports);
      const gave = fetch.shares.map(({ peer }) => peer);
      // What a fetcher passed on it could not check yet: several gave that.
      if (gave.every(({ peerId }) => fetch.isComplete(peerId))) this.#givers.set(item, gave);
      report();
    }
  }

  /** @returns the error about one of those who gave wrong bytes; the others are reported */
  async #blame(
    item: ImportItem,
    fetch: NarFetch,
    cause: NixError,
    signal: AbortSignal,
    hear: HearReport,
  ): Promise<TransferError> {
    const { info } = item;
    const gave = fetch.shares.map(({ peer }) => peer);
    const [only] = gave;
    if (gave.length === 1) return badHash(only!, info.path, cause);
    const holders = gave.filter(({ peerId }) => fetch.isComplete(peerId));
    const witnesses = fetch.witnesses;
    const liars = await findLiars(info, holders, witnesses, this.#components.peers, signal);
    // What a fetcher passed on it could not check yet: it is not asked again, and not blamed.
    const [first, ...others] = gave.filter(({ peerId }) => liars.has(peerId) && fetch.isComplete(peerId));
    if (first === undefined) {
      const passedOn = gave.find(({ peerId }) => liars.has(peerId)) ?? only!;
      return new TransferError(
        'TRANSFER_SIDE_CHANNEL',
        `Parts of ${info.path} from several members do not make up what was signed; it is fetched from one alone.`,
        { peerId: passedOn.peerId, path: info.path, cause },
      );
    }
    const faults = others.map((peer) => {
      const { code, message } = badHash(peer, info.path);
      return { peerId: peer.peerId, path: info.path, code, message };
    });
    if (faults.length > 0) hear({ shares: [], resentBytes: 0, faults });
    return badHash(first, info.path, cause);
  }
}

/** A rate nobody told: any, for it is the only source. */
const UNTOLD_BYTES_PER_MS = 110_000;

function sourcesOf({ peer, sources = [] }: ImportItem): readonly NarSourceHint[] {
  return sources.length > 0 ? sources : [{ peer, bytesPerMs: UNTOLD_BYTES_PER_MS }];
}

function isBadNar(error: unknown): error is NixError {
  return error instanceof NixError && error.code === 'NIX_BAD_NAR';
}

function badHash({ peerId, name }: PeerLabel, path: string, cause?: unknown): TransferError {
  return new TransferError(
    'TRANSFER_BAD_HASH',
    `${name} sent something else than it promised for ${path}; it is not asked for this path again.`,
    { peerId, path, cause },
  );
}
