import { NixError, type PathDescription, verifyNar } from '@mesh/nix';
import { isPeerFault, TransferError } from '../errors.ts';
import type { PeerLabel } from '../side-channel/nar-connection.ts';
import type { NarShelf, PeerRanges } from '../side-channel/ranges.ts';
import { MIN_RANGES_AHEAD, RANGE_BYTES, RANGES_AHEAD } from './constants.ts';
import type { NarStreams, NarWish } from './nar-streams.ts';

/** NARs out of this machine's store and from members, in the thread that has the connections. */
export class LocalNars implements NarStreams {
  readonly #shelf: Pick<NarShelf, 'open'>;
  readonly #peers: Pick<PeerRanges, 'read'>;
  /** NARs of members that are being read. */
  #streams = 0;

  constructor(shelf: Pick<NarShelf, 'open'>, peers: Pick<PeerRanges, 'read'>) {
    this.#shelf = shelf;
    this.#peers = peers;
  }

  openNar(wish: NarWish, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return wish.from === 'store' ? this.#own(wish, signal) : this.#ofMembers(wish, signal);
  }

  async *#own(
    { path, offset, bytes }: Extract<NarWish, { from: 'store' }>,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = await this.#shelf.open(path, signal);
    if (reader === undefined) throw new Error(`${path} is not in this machine's store any more`);
    try {
      yield* reader.read(offset, bytes, signal);
    } finally {
      reader.close();
    }
  }

  async *#ofMembers(
    { info, holders }: Extract<NarWish, { from: 'members' }>,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const gone = new AbortController();
    const givers = new Givers(info, holders, this.#peers, AbortSignal.any([signal, gone.signal]));
    this.#streams += 1;
    try {
      const ahead = () => Math.max(MIN_RANGES_AHEAD, Math.floor(RANGES_AHEAD / this.#streams));
      yield* verifyNar(givers.bytes(ahead), info);
    } catch (error) {
      if (!(error instanceof NixError) || error.code !== 'NIX_BAD_NAR') throw error;
      throw givers.badNar(error);
    } finally {
      this.#streams -= 1;
      gone.abort();
    }
  }
}

/** One NAR from whoever of its holders is there: where one is lost the next goes on at the byte reached. */
class Givers {
  readonly #info: PathDescription;
  readonly #left: PeerLabel[];
  readonly #peers: Pick<PeerRanges, 'read'>;
  readonly #signal: AbortSignal;
  readonly #gave = new Set<PeerLabel>();
  /** Used, and free to be used again. */
  readonly #free: Buffer[] = [];

  constructor(
    info: PathDescription,
    holders: readonly PeerLabel[],
    peers: Pick<PeerRanges, 'read'>,
    signal: AbortSignal,
  ) {
    this.#info = info;
    this.#left = [...holders];
    this.#peers = peers;
    this.#signal = signal;
  }

  /** The bytes in order; so many ranges are asked for ahead, so that round trips do not count. */
  async *bytes(rangesAhead: () => number): AsyncGenerator<Uint8Array, void, undefined> {
    const { narSize } = this.#info;
    const ahead: Promise<Buffer>[] = [];
    let given = 0;
    let asked = 0;
    let before: Buffer | undefined;
    while (asked < narSize || ahead.length > 0) {
      while (asked < narSize && ahead.length < rangesAhead()) {
        const range = this.#range(asked, Math.min(RANGE_BYTES, narSize - asked));
        // Looked at in its turn; until then it is nobody's failure.
        range.catch(() => undefined);
        ahead.push(range);
        asked += RANGE_BYTES;
      }
      const range = await ahead.shift()!;
      yield range.subarray(0, Math.min(RANGE_BYTES, narSize - given));
      given += RANGE_BYTES;
      // What checks the NAR holds this one back and has passed on the one before.
      if (before !== undefined) this.#free.push(before);
      before = range;
    }
  }

  /** What to say of a NAR that is not what was promised: where several gave parts of it, nobody can be named. */
  badNar(cause: NixError): TransferError {
    const { path } = this.#info;
    const [only, ...others] = this.#gave;
    const culprit = only === undefined || others.length > 0 ? undefined : only;
    return new TransferError(
      'TRANSFER_BAD_HASH',
      `${culprit?.name ?? 'One of several members'} sent something else than it promised for ${path}; it is fetched anew when it is asked for again.`,
      { path, cause, ...(culprit === undefined ? {} : { peerId: culprit.peerId }) },
    );
  }

  /** A buffer of RANGE_BYTES that begins with the range. */
  async #range(offset: number, bytes: number): Promise<Buffer> {
    const whole = this.#free.pop() ?? Buffer.allocUnsafeSlow(RANGE_BYTES);
    let at = 0;
    for (;;) {
      const giver = this.#left[0];
      if (giver === undefined) throw nobodyLeft(this.#info.path);
      try {
        const range = { path: this.#info.path, offset: offset + at, bytes: bytes - at };
        await this.#peers.read(
          giver,
          range,
          (view) => {
            whole.set(view, at);
            at += view.length;
            this.#gave.add(giver);
          },
          this.#signal,
        );
        return whole;
      } catch (error) {
        this.#signal.throwIfAborted();
        if (!isPeerFault(error)) throw error;
        // Ranges under way to the same giver fail together.
        if (this.#left[0] === giver) this.#left.shift();
        if (this.#left.length === 0) throw error;
      }
    }
  }
}

function nobodyLeft(path: string): TransferError {
  return new TransferError('TRANSFER_NO_SOURCE', `No connected member could give ${path}; ask again later.`, {
    path,
  });
}
