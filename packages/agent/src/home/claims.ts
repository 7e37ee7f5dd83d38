import type { Channel, Clock, Logger, MeshNet, Timer } from '@mesh/net';
import type { HomeEffect, HomeEvent } from '@mesh/schedule';
import { type ClaimMessage, claimsProtocol } from '@mesh/wire';
import { CLAIM_TIMEOUT_MS, RELEASE_DELAY_MS } from '../constants.ts';
import type { WithoutNow } from '../step-loop.ts';

type ClaimEffect = Extract<HomeEffect, { type: 'claim' | 'release' }>;
type Releases = Extract<HomeEffect, { type: 'release' }>['releases'];
type Dispatch = (event: WithoutNow<HomeEvent>) => void;

export interface ClaimsComponents {
  net: MeshNet;
  clock: Clock;
  logger: Logger;
  dispatch: Dispatch;
}

/** One claim on its way: whose answers are still due. */
interface Pending {
  waiting: Set<string>;
  settle(): void;
}

/**
 * Claims between homes over the network: every home keeps one stream to every other and says on it, in order, what it claims, what it
 * has noted, and what it releases.
 */
export class Claims {
  readonly #components: ClaimsComponents;
  readonly #streams = new Map<string, Channel<ClaimMessage, ClaimMessage>>();
  readonly #opening = new Map<string, Promise<void>>();
  readonly #pending = new Map<number, Pending>();
  /** Releases for all, held back for company: a chain of small builds would send one to everybody every few milliseconds. */
  #heldBack: { releases: Releases[number][]; timer: Timer } | undefined;

  constructor(components: ClaimsComponents) {
    this.#components = components;
  }

  start(): void {
    this.#components.net.handle(claimsProtocol, async (channel, peerId) => {
      for await (const message of channel) await this.#receive(peerId, message);
    });
    for (const peerId of this.#components.net.connectedMembers()) this.memberUp(peerId);
  }

  memberUp(peerId: string): void {
    void this.#open(peerId);
  }

  memberDown(peerId: string): void {
    this.#streams.delete(peerId);
    this.#opening.delete(peerId);
    this.#answered(peerId, undefined);
    this.#components.dispatch({ type: 'home-down', from: peerId });
  }

  perform(effect: ClaimEffect): void {
    if (effect.type === 'release') {
      if (effect.to === undefined) this.#holdBack(effect.releases);
      else this.#send(effect.to, releaseMessage(effect.releases));
      return;
    }
    // What was released before this claim is heard before it.
    this.#sendHeldBack();
    const { stamp, drvs } = effect;
    const audience = this.#audience(effect.to);
    if (effect.to === undefined) this.#await(stamp, audience);
    for (const peerId of audience) this.#send(peerId, { type: 'claim', stamp, drvPaths: [...drvs] });
  }

  #holdBack(releases: Releases): void {
    if (this.#heldBack !== undefined) this.#heldBack.releases.push(...releases);
    else {
      const timer = this.#components.clock.after(RELEASE_DELAY_MS, () => this.#sendHeldBack());
      this.#heldBack = { releases: [...releases], timer };
    }
  }

  #sendHeldBack(): void {
    const held = this.#heldBack;
    if (held === undefined) return;
    this.#heldBack = undefined;
    held.timer.cancel();
    const message = releaseMessage(held.releases);
    for (const peerId of this.#audience(undefined)) this.#send(peerId, message);
  }

  #audience(to: string | undefined): string[] {
    return to === undefined ? [...this.#streams.keys()] : [to];
  }

  #await(stamp: number, audience: string[]): void {
    const { clock, dispatch } = this.#components;
    const timer = clock.after(CLAIM_TIMEOUT_MS, () => this.#pending.get(stamp)?.settle());
    const pending: Pending = {
      waiting: new Set(audience),
      settle: () => {
        timer.cancel();
        this.#pending.delete(stamp);
        dispatch({ type: 'claim-settled', stamp });
      },
    };
    this.#pending.set(stamp, pending);
    if (pending.waiting.size === 0) pending.settle();
  }

  /** One member noted one claim, or will never note any. */
  #answered(peerId: string, stamp: number | undefined): void {
    for (const [claimed, pending] of [...this.#pending]) {
      if (stamp !== undefined && claimed !== stamp) continue;
      pending.waiting.delete(peerId);
      if (pending.waiting.size === 0) pending.settle();
    }
  }

  async #receive(from: string, message: ClaimMessage): Promise<void> {
    const { dispatch } = this.#components;
    switch (message.type) {
      case 'claim':
        // The state machine listens only to homes it knows: its own stream comes first.
        await this.#open(from);
        dispatch({ type: 'claim-received', from, stamp: message.stamp, drvs: message.drvPaths });
        this.#send(from, { type: 'noted', stamp: message.stamp });
        break;
      case 'noted':
        this.#answered(from, message.stamp);
        break;
      case 'released':
        dispatch({
          type: 'claim-released',
          from,
          releases: message.derivations.map(({ drvPath, stamp, outcome, holders }) => ({
            drvPath,
            stamp,
            outcome: outcome === 'built' ? { type: 'built', holders } : { type: 'gone' },
          })),
        });
        break;
    }
  }

  /** The stream to a member, once; a member that cannot be reached has no say. */
  #open(peerId: string): Promise<void> {
    const opening = this.#opening.get(peerId) ?? this.#openNow(peerId);
    this.#opening.set(peerId, opening);
    return opening;
  }

  async #openNow(peerId: string): Promise<void> {
    const { net, logger, dispatch } = this.#components;
    try {
      const channel = await net.open(peerId, claimsProtocol);
      this.#streams.set(peerId, channel);
      channel.closed.then(() => {
        if (this.#streams.get(peerId) === channel) this.#streams.delete(peerId);
        this.#opening.delete(peerId);
        this.#answered(peerId, undefined);
      });
      dispatch({ type: 'home-up', from: peerId });
    } catch (error) {
      this.#opening.delete(peerId);
      logger.debug({ err: error, peerId }, 'no claims stream to a member');
    }
  }

  #send(peerId: string, message: ClaimMessage): void {
    this.#streams
      .get(peerId)
      ?.send(message)
      .catch((error: unknown) => {
        // Its end is seen by `closed`; a claim that did not get through settles by its time-out.
        this.#components.logger.debug({ err: error, peerId }, 'a claims message was not sent');
      });
  }
}

function releaseMessage(releases: Releases): ClaimMessage {
  return {
    type: 'released',
    derivations: releases.map(({ drvPath, stamp, outcome }) => ({
      drvPath,
      stamp,
      outcome: outcome.type,
      holders: outcome.type === 'built' ? [...outcome.holders] : [],
    })),
  };
}
