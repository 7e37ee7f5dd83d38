import type { Channel, Clock, Logger, MeshNet } from '@mesh/net';
import { type HoldingsMessage, holdingsProtocol } from '@mesh/wire';
import { messageOf, TransferError } from '../errors.ts';
import type { TransferNet } from '../net.ts';
import { GOOD_STREAM_MS, REOPEN_FIRST_MS, REOPEN_LAST_MS } from './constants.ts';
import { MemberSummaries } from './member-summaries.ts';
import { OwnHoldings, type OwnSummary } from './own-holdings.ts';
import type { ProbableHolders } from './probable-holders.ts';
import { StoreWatch } from './store-watch.ts';
import { Teller } from './teller.ts';
import type { ValidPaths } from './valid-paths.ts';

type HoldingsChannel = Channel<HoldingsMessage, HoldingsMessage>;

export interface HoldingsComponents {
  /** This agent's peer id. */
  readonly self: string;
  readonly net: Pick<TransferNet, 'connectedMembers' | 'handle' | 'open' | 'nameOf'> &
    Pick<MeshNet, 'events'>;
  readonly store: ValidPaths;
  /** Where the store's files are, if not in its own directory. */
  readonly storeDirectory?: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'debug' | 'info'>;
}

/** Figures of what members know of each other's holdings. */
export interface HoldingsCounters {
  /** Paths in this machine's own summary, about. */
  readonly ownPaths: number;
  /** Bytes of the own filter and those of the members. */
  readonly filterBytes: number;
  /** Filter and hash bytes sent to members since the agent started. */
  readonly toldBytes: number;
  /** Connected members whose summary is not here. */
  readonly unknownMembers: number;
}

interface Conversation {
  readonly channel: HoldingsChannel;
  readonly teller: Teller;
}

/**
 * Tells members what this machine's store holds and keeps what they tell. Nothing is read or watched before there is a member to
 * tell; then new paths are told within a moment, whoever made them.
 */
export class Holdings implements ProbableHolders {
  readonly #components: HoldingsComponents;
  readonly #own: OwnHoldings;
  readonly #watch: StoreWatch;
  readonly #summaries: MemberSummaries;
  readonly #conversations = new Map<string, Conversation>();
  /** Of each member this agent keeps a stream to: what cuts the pause before the next attempt short. */
  readonly #keeping = new Map<string, { wake: (() => void) | undefined }>();
  readonly #refused = new Set<string>();
  readonly #unsubscribe: (() => void)[] = [];
  #toldBytes = 0;
  #stopped = false;

  constructor(components: HoldingsComponents) {
    const { store, clock, logger, net, storeDirectory } = components;
    this.#components = components;
    this.#summaries = new MemberSummaries(() => net.connectedMembers());
    this.#own = new OwnHoldings({
      store,
      clock,
      logger,
      onAdded: (hashes) => {
        for (const { teller } of this.#conversations.values()) teller.added(hashes);
      },
      onRenewed: () => {
        for (const { teller } of this.#conversations.values()) teller.renewed();
      },
    });
    this.#watch = new StoreWatch({
      ...(storeDirectory === undefined ? {} : { directory: storeDirectory }),
      store,
      clock,
      logger,
      seemsToHold: (hashPart) => this.#own.seemsToHold(hashPart),
      onValid: (paths) => {
        this.#own.add(paths);
        this.#own.touched();
      },
      onGone: (paths) => this.#own.lost(paths),
      onMissed: () => this.#own.missed(),
    });
  }

  /** Begins to talk to members. Before the network starts, so that none is missed. */
  start(): void {
    const { net } = this.#components;
    net.handle(holdingsProtocol, (channel) => this.#converse(channel));
    this.#unsubscribe.push(
      net.events.on('member-up', (peerId) => this.#up(peerId)),
      net.events.on('member-down', (peerId) => this.#down(peerId)),
    );
    for (const peerId of net.connectedMembers()) this.#up(peerId);
  }

  stop(): void {
    this.#stopped = true;
    for (const end of this.#unsubscribe) end();
    for (const keeper of this.#keeping.values()) keeper.wake?.();
    for (const { channel, teller } of this.#conversations.values()) {
      teller.stop();
      // A channel that broke needs no end.
      channel.end().catch(() => undefined);
    }
    this.#watch.stop();
    this.#own.stop();
  }

  /** These paths became valid here: members hear of them at once. */
  announce(paths: readonly string[]): void {
    this.#own.add(paths);
  }

  of(path: string): readonly string[] {
    return this.#summaries.of(path);
  }

  ofHash(hashPart: string): readonly string[] {
    return this.#summaries.ofHash(hashPart);
  }

  unknown(): readonly string[] {
    return this.#summaries.unknown();
  }

  counters(): HoldingsCounters {
    const own: OwnSummary | undefined = this.#own.current;
    let toldBytes = this.#toldBytes;
    for (const { teller } of this.#conversations.values()) toldBytes += teller.sentBytes;
    return {
      ownPaths: own?.paths ?? 0,
      filterBytes: (own?.filter.bytes.length ?? 0) + this.#summaries.heldBytes,
      toldBytes,
      unknownMembers: this.unknown().length,
    };
  }

  #up(peerId: string): void {
    // Watched first: what becomes valid while the store is read must not be missed.
    this.#watch.start();
    this.#own.start();
    if (this.#components.self > peerId) return;
    const keeper = this.#keeping.get(peerId);
    if (keeper === undefined) void this.#keep(peerId);
    else keeper.wake?.();
  }

  #down(peerId: string): void {
    this.#refused.delete(peerId);
    this.#summaries.forget(peerId);
    this.#keeping.get(peerId)?.wake?.();
  }

  /** Keeps a stream to the member for as long as it is connected. */
  async #keep(peerId: string): Promise<void> {
    const { net, clock, logger } = this.#components;
    const keeper: { wake: (() => void) | undefined } = { wake: undefined };
    this.#keeping.set(peerId, keeper);
    let pauseMs = REOPEN_FIRST_MS;
    while (!this.#stopped && net.connectedMembers().includes(peerId)) {
      const openedAt = clock.monotonic();
      try {
        await this.#converse(await net.open(peerId, holdingsProtocol));
      } catch (error) {
        // An older member, or one that is just going.
        logger.debug({ peerId, reason: messageOf(error) }, 'a member does not tell what it holds');
      }
      if (clock.monotonic() - openedAt > GOOD_STREAM_MS) pauseMs = REOPEN_FIRST_MS;
      if (this.#stopped || !net.connectedMembers().includes(peerId)) break;
      await new Promise<void>((resolve) => {
        keeper.wake = resolve;
        clock.after(pauseMs, resolve);
      });
      keeper.wake = undefined;
      pauseMs = Math.min(pauseMs * 2, REOPEN_LAST_MS);
    }
    this.#keeping.delete(peerId);
  }

  async #converse(channel: HoldingsChannel): Promise<void> {
    const { peerId } = channel;
    // A member that opens another stream has lost the one before.
    const former = this.#conversations.get(peerId);
    former?.teller.stop();
    former?.channel.end().catch(() => undefined);
    const conversation = { channel, teller: new Teller(channel, () => this.#own.current) };
    this.#conversations.set(peerId, conversation);
    // Where telling fails, the channel is broken, and hearing fails too.
    conversation.teller.run().catch(() => undefined);
    try {
      for await (const message of channel) this.#hear(conversation, message);
      await channel.end();
    } catch (error) {
      channel.abort(error instanceof Error ? error : new Error(messageOf(error)));
      throw error;
    } finally {
      conversation.teller.stop();
      this.#toldBytes += conversation.teller.sentBytes;
      if (this.#conversations.get(peerId) === conversation) {
        this.#conversations.delete(peerId);
        this.#summaries.forget(peerId);
      }
    }
  }

  #hear({ channel, teller }: Conversation, message: HoldingsMessage): void {
    const { peerId } = channel;
    const { net, logger } = this.#components;
    if (this.#conversations.get(peerId)?.channel !== channel) return;
    if (message.type === 'refused') {
      logger.debug({ peerId, reason: message.reason }, 'a member keeps no summary of what is here');
      teller.stop();
      return;
    }
    // It was told already; pages on their way still come.
    if (this.#refused.has(peerId) && message.type === 'summary' && !isFirstPage(message)) return;
    if (this.#refused.has(peerId) && message.type === 'added') return;
    const verdict = this.#summaries.hear(peerId, message);
    if (verdict === 'taken') {
      this.#refused.delete(peerId);
      return;
    }
    if (verdict === 'out-of-order') {
      throw new TransferError(
        'TRANSFER_PEER_REFUSED',
        `What ${net.nameOf(peerId) ?? peerId} told of its store does not follow on what it told before; it is heard anew.`,
        { peerId },
      );
    }
    if (!this.#refused.has(peerId)) {
      this.#refused.add(peerId);
      logger.info(
        { peerId, reason: verdict },
        'what a member holds is asked each time: its summary is not kept',
      );
      // Not waited for: both may refuse, and each must go on reading. A channel that broke ends the reading too.
      channel.send({ type: 'refused', reason: verdict }).catch(() => undefined);
    }
  }
}

function isFirstPage(message: { readonly type: 'summary'; readonly offset?: number }): boolean {
  return message.offset === 0;
}
