import type { Channel } from '@mesh/net';
import { HOLDINGS_PAGE_BYTES, HOLDINGS_VERSION, type HoldingsMessage } from '@mesh/wire';
import type { OwnSummary } from './own-holdings.ts';

/**
 * Tells one member what this machine holds: the whole summary, then what comes. A member that reads more slowly than news come gets
 * the summary anew instead of them, so that nothing piles up.
 */
export class Teller {
  readonly #channel: Pick<Channel<HoldingsMessage, HoldingsMessage>, 'send'>;
  readonly #current: () => OwnSummary | undefined;
  /** The summary whose pages, all of them, were sent or are being sent. */
  #told: OwnSummary['filter'] | undefined;
  #sequence = 0;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #wake: (() => void) | undefined;
  #stopped = false;
  #sentBytes = 0;

  constructor(
    channel: Pick<Channel<HoldingsMessage, HoldingsMessage>, 'send'>,
    current: () => OwnSummary | undefined,
  ) {
    this.#channel = channel;
    this.#current = current;
  }

  /** Of filters and hashes. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** There is a new summary. */
  renewed(): void {
    this.#wake?.();
  }

  /** Hashes that came into the current summary. */
  added(hashes: Uint8Array): void {
    const filter = this.#current()?.filter;
    // What is not told yet comes with the summary.
    if (filter === undefined || filter !== this.#told) return;
    this.#waiting.push(hashes);
    this.#waitingBytes += hashes.length;
    if (this.#waitingBytes > filter.bytes.length) this.#told = undefined;
    this.#wake?.();
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  /** Tells until {@link stop}. @throws whatever the channel throws */
  async run(): Promise<void> {
    while (!this.#stopped) {
      const own = this.#current();
      if (own !== undefined && own.filter !== this.#told) {
        await this.#tellAll(own);
        continue;
      }
      const hashes = own === undefined ? undefined : this.#waiting.shift();
      if (own === undefined || hashes === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#waitingBytes -= hashes.length;
      await this.#channel.send({ type: 'added', epoch: own.epoch, sequence: this.#sequence++, hashes });
      this.#sentBytes += hashes.length;
    }
  }

  async #tellAll({ epoch, filter, paths }: OwnSummary): Promise<void> {
    this.#told = filter;
    this.#sequence = 0;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const { bits, hashes, bytes } = filter;
    for (let offset = 0; offset < bytes.length; offset += HOLDINGS_PAGE_BYTES) {
      if (this.#stopped || this.#told !== filter || this.#current()?.filter !== filter) return;
      // A copy: the bytes may change before the message is written.
      const page = bytes.slice(offset, offset + HOLDINGS_PAGE_BYTES);
      await this.#channel.send({
        type: 'summary',
        version: HOLDINGS_VERSION,
        epoch,
        bits,
        hashes,
        paths,
        offset,
        page,
      });
      this.#sentBytes += page.length;
    }
  }
}
