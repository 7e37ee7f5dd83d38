import { type Channel, type Clock, type Logger, type MeshNet, NetError, type Timer } from '@mesh/net';
import {
  HISTORY_MAX_ORIGINS,
  HISTORY_MAX_ROWS,
  type HistoryRequest,
  type HistoryResponse,
  historyProtocol,
} from '@mesh/wire';
import {
  ASK_DELAY_MS,
  ASK_INTERVAL_MS,
  NEWS_DELAY_MS,
  NEWS_INTERVAL_MS,
  PAGE_TIMEOUT_MS,
  PAGES_PER_MINUTE,
  PAGES_PER_ROUND,
} from './constants.ts';
import type { History } from './history.ts';

type ShareNet = Pick<
  MeshNet,
  'connectedMembers' | 'events' | 'handle' | 'isMember' | 'members' | 'open' | 'self'
>;

export interface HistoryShareComponents {
  readonly net: ShareNet;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly history: History;
}

/** What the agent knows of its dealings with one member. */
interface Dealings {
  asking: boolean;
  /** To be asked then. */
  timer: Timer | undefined;
  /** Monotonic milliseconds when it was last asked. */
  askedAt: number;
  /** Pages given to it in the minute that began then. */
  pages: number;
  minuteBegan: number;
}

/**
 * Tells members what builds took, and asks them: a member that comes up, all of them now and then, and whoever says that it has
 * news. Rows are asked for by origin and number, so that each crosses once, whoever tells it, and nothing goes in circles.
 */
export class HistoryShare {
  readonly #components: HistoryShareComponents;
  readonly #dealings = new Map<string, Dealings>();
  /** Rows of origins this agent does not believe: passed over when asking on. */
  readonly #passedOver = new Map<string, number>();
  readonly #stopping = new AbortController();
  #news: Timer | undefined;
  #round: Timer | undefined;

  constructor(components: HistoryShareComponents) {
    this.#components = components;
  }

  start(): void {
    const { net, history } = this.#components;
    net.handle(historyProtocol, (channel, peerId) => this.#answer(channel, peerId));
    net.events.on('member-up', (peerId) => this.#askSoon(peerId, ASK_DELAY_MS));
    net.events.on('member-down', (peerId) => this.#of(peerId).timer?.cancel());
    net.events.on('membership', () => {
      this.#passedOver.clear();
      history.membershipChanged();
    });
    history.onRecorded(() => this.#tellSoon());
    this.#nextRound();
  }

  stop(): void {
    this.#stopping.abort();
    this.#news?.cancel();
    this.#round?.cancel();
    for (const { timer } of this.#dealings.values()) timer?.cancel();
  }

  #nextRound(): void {
    this.#round = this.#components.clock.after(ASK_INTERVAL_MS, () => {
      for (const peerId of this.#components.net.connectedMembers()) this.#askSoon(peerId, 0);
      this.#nextRound();
    });
  }

  #askSoon(peerId: string, delayMs: number): void {
    const dealings = this.#of(peerId);
    dealings.timer?.cancel();
    dealings.timer = this.#components.clock.after(delayMs, () => {
      dealings.timer = undefined;
      void this.#ask(peerId, dealings);
    });
  }

  /** One round of questions to one member. */
  async #ask(peerId: string, dealings: Dealings): Promise<void> {
    if (dealings.asking || this.#stopping.signal.aborted) return;
    dealings.asking = true;
    dealings.askedAt = this.#components.clock.monotonic();
    try {
      await this.#components.history.open();
      const { net } = this.#components;
      const channel = await net.open(peerId, historyProtocol, { signal: this.#stopping.signal });
      try {
        const complete = await this.#askPages(channel);
        await channel.end();
        if (!complete) this.#askSoon(peerId, NEWS_INTERVAL_MS);
      } catch (error) {
        channel.abort(error instanceof Error ? error : new Error(String(error)));
        throw error;
      }
    } catch (error) {
      // An older member, or one that is just going: it is asked again in the next round.
      this.#components.logger.debug({ err: error, peerId }, 'a member did not tell its history');
    } finally {
      dealings.asking = false;
    }
  }

  /** Whether there was nothing left to tell. */
  async #askPages(channel: Channel<HistoryRequest, HistoryResponse>): Promise<boolean> {
    const { history, clock } = this.#components;
    for (let page = 0; page < PAGES_PER_ROUND; page++) {
      const slow = clock.after(PAGE_TIMEOUT_MS, () =>
        channel.abort(new NetError('NET_CLOSED', 'The member took too long to tell its history.')),
      );
      try {
        await channel.send({ type: 'since', have: this.#have() });
        const answer = await channel.receive();
        if (answer === undefined) return true;
        history.accept(answer.rows);
        for (const { origin, sequence } of answer.rows) {
          if (history.knows(origin, sequence)) continue;
          if (this.#passedOver.size < HISTORY_MAX_ORIGINS) this.#passedOver.set(origin, sequence);
        }
        if (!answer.more || answer.rows.length === 0) return !answer.more;
      } finally {
        slow.cancel();
      }
    }
    return false;
  }

  #have(): { origin: string; sequence: number }[] {
    const marks = new Map(this.#passedOver);
    for (const { origin, sequence } of this.#components.history.marks()) marks.set(origin, sequence);
    return [...marks].slice(-HISTORY_MAX_ORIGINS).map(([origin, sequence]) => ({ origin, sequence }));
  }

  async #answer(channel: Channel<HistoryResponse, HistoryRequest>, peerId: string): Promise<void> {
    const { clock, history } = this.#components;
    await history.open();
    for await (const request of channel) {
      if (request.type === 'news') {
        const wait = NEWS_INTERVAL_MS - (clock.monotonic() - this.#of(peerId).askedAt);
        this.#askSoon(peerId, Math.max(0, wait));
        continue;
      }
      await channel.send(
        this.#mayAsk(peerId) ? this.#page(request.have) : { type: 'rows', rows: [], more: true },
      );
    }
  }

  #page(have: readonly { origin: string; sequence: number }[]): HistoryResponse {
    const { history, net } = this.#components;
    const marks = new Map(have.map(({ origin, sequence }) => [origin, sequence]));
    const origins = history
      .marks()
      .filter(
        ({ origin, sequence }) =>
          sequence > (marks.get(origin) ?? 0) && (origin === net.self.peerId || net.isMember(origin)),
      )
      .map(({ origin }) => origin);
    const rows = history.since(marks, origins, HISTORY_MAX_ROWS);
    return { type: 'rows', rows, more: rows.length === HISTORY_MAX_ROWS };
  }

  #mayAsk(peerId: string): boolean {
    const dealings = this.#of(peerId);
    const now = this.#components.clock.monotonic();
    if (now - dealings.minuteBegan >= 60_000) {
      dealings.minuteBegan = now;
      dealings.pages = 0;
    }
    return ++dealings.pages <= PAGES_PER_MINUTE;
  }

  #tellSoon(): void {
    this.#news ??= this.#components.clock.after(NEWS_DELAY_MS, () => {
      this.#news = undefined;
      for (const peerId of this.#components.net.connectedMembers()) void this.#tell(peerId);
    });
  }

  async #tell(peerId: string): Promise<void> {
    try {
      const channel = await this.#components.net.open(peerId, historyProtocol, {
        signal: this.#stopping.signal,
      });
      await channel.send({ type: 'news' });
      await channel.end();
    } catch (error) {
      this.#components.logger.debug({ err: error, peerId }, 'a member did not hear of news');
    }
  }

  #of(peerId: string): Dealings {
    let dealings = this.#dealings.get(peerId);
    if (dealings === undefined) {
      dealings = {
        asking: false,
        timer: undefined,
        askedAt: Number.NEGATIVE_INFINITY,
        pages: 0,
        minuteBegan: Number.NEGATIVE_INFINITY,
      };
      this.#dealings.set(peerId, dealings);
    }
    return dealings;
  }
}
