import { HASH_BYTES, HOLDINGS_VERSION, type HoldingsAdded, type HoldingsSummary } from '@mesh/wire';
import { MAX_FILL } from './constants.ts';
import { PathFilter } from './path-filter.ts';

/** A summary or news, of whatever version. */
export type ToldHoldings =
  | HoldingsSummary
  | HoldingsAdded
  | { readonly type: 'summary'; readonly version: number };

/**
 * What became of a message: it counts; it is of an unknown version or larger than there is room for, and the sender is told so; or it
 * does not follow on what came before, and the stream has to begin again.
 */
export type Verdict = 'taken' | 'version' | 'limit' | 'out-of-order';

interface Told {
  readonly epoch: number;
  readonly filter: PathFilter;
}

/** What one member told of its holdings, page by page. An earlier summary counts until the next is whole. */
export class MemberSummary {
  #current: Told | undefined;
  #coming: (Told & { filled: number }) | undefined;
  #sequence = 0;

  /** Filter bytes at rest. */
  get heldBytes(): number {
    return (this.#current?.filter.bytes.length ?? 0) + (this.#coming?.filter.bytes.length ?? 0);
  }

  /** Undefined where there is no whole summary, or one so full that it says nothing. */
  get filter(): PathFilter | undefined {
    const filter = this.#current?.filter;
    return filter !== undefined && filter.fill <= MAX_FILL ? filter : undefined;
  }

  /** @param roomBytes how much more there is room for */
  hear(message: ToldHoldings, roomBytes: number): Verdict {
    if (message.type === 'added') return this.#added(message);
    return isKnown(message) ? this.#page(message, roomBytes) : 'version';
  }

  #page(message: HoldingsSummary, roomBytes: number): Verdict {
    const { epoch, bits, hashes, offset, page } = message;
    if (offset === 0) {
      // A summary that never became whole makes room for the next.
      if (bits / 8 > roomBytes + (this.#coming?.filter.bytes.length ?? 0)) return 'limit';
      this.#coming = { epoch, filter: new PathFilter({ bits, hashes }), filled: 0 };
    }
    const coming = this.#coming;
    if (coming?.epoch !== epoch || coming.filled !== offset) return 'out-of-order';
    const { filter } = coming;
    if (filter.bits !== bits || filter.hashes !== hashes || offset + page.length > filter.bytes.length) {
      return 'out-of-order';
    }
    filter.fillIn(offset, page);
    coming.filled += page.length;
    if (coming.filled === filter.bytes.length) {
      this.#current = { epoch, filter };
      this.#coming = undefined;
      this.#sequence = 0;
    }
    return 'taken';
  }

  #added({ epoch, sequence, hashes }: HoldingsAdded): Verdict {
    if (this.#coming !== undefined || this.#current?.epoch !== epoch || sequence !== this.#sequence) {
      return 'out-of-order';
    }
    this.#sequence += 1;
    for (let at = 0; at < hashes.length; at += HASH_BYTES) this.#current.filter.add(hashes, at);
    return 'taken';
  }
}

function isKnown(
  message: HoldingsSummary | { readonly type: 'summary'; readonly version: number },
): message is HoldingsSummary {
  return message.version === HOLDINGS_VERSION;
}
