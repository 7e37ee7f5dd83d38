import type { Clock, Timer } from './clock.ts';
import { RENEW_INTERVAL_MS } from './constants.ts';
import type { Joining } from './joining.ts';
import type { Logger } from './logger.ts';
import type { Roster } from './roster.ts';
import type { Sessions } from './sessions.ts';

export interface RenewalsComponents {
  joining: Pick<Joining, 'renewals'>;
  roster: Pick<Roster, 'adopt'>;
  sessions: Pick<Sessions, 'connected'>;
  clock: Clock;
  logger: Logger;
}

/** New certificates for members whose certificates expire, made by an admin: once a day, and when such a member comes. */
export class Renewals {
  readonly #components: RenewalsComponents;
  #next: Timer | undefined;

  constructor(components: RenewalsComponents) {
    this.#components = components;
  }

  start(): void {
    const { clock, sessions } = this.#components;
    this.#next = clock.after(RENEW_INTERVAL_MS, () => {
      this.renew(sessions.connected());
      this.start();
    });
  }

  stop(): void {
    this.#next?.cancel();
  }

  renew(peerIds: readonly string[]): void {
    const { joining, roster, logger } = this.#components;
    const records = joining.renewals(peerIds);
    if (records.length === 0) return;
    roster.adopt(records).catch((error: unknown) => {
      logger.error({ error }, 'Renewed certificates could not be written.');
    });
  }
}
