import type { WorkerCapacity } from '@mesh/schedule';
import { isWithinHours } from './offer-hours.ts';
import type { Pause } from './pause-file.ts';

/** What of a machine others may use, and when, as its owner sets it (`offer` in `config.json`). */
export interface OfferConfig {
  /** Cores for all builds together, own ones too; all of them by default. */
  readonly cores?: number;
  /** Builds of others at once; as many as the machine runs by default. */
  readonly slots?: number;
  /** Hours of the day, local time, in which others may use it: `22:00-07:00`. */
  readonly hours?: readonly string[];
  /** Names or peer ids of the only machines it builds for. */
  readonly submitters?: readonly string[];
  /** Nothing for others while it runs on battery. */
  readonly onlyOnMains?: boolean;
  /** Share of the slots that its own jobs get even while others fill all of them: 0 to 1. */
  readonly ownShare?: number;
  /** Memory pressure (PSI `some avg10`, percent) from which on it takes no new builds. */
  readonly maxMemoryPressure?: number;
  /** Processor pressure (likewise) of others than the mesh from which on its user has it for himself. */
  readonly maxCpuPressureOfOthers?: number;
}

/** What the machine is and what goes on there. */
export interface OfferFacts {
  readonly slots: number;
  readonly cores: number;
  /** Local wall clock, minutes since midnight. */
  readonly minuteOfDay: number;
  readonly onMains: boolean;
  readonly pause: Pause | undefined;
  /** Somebody else than the mesh needs the processors; memory is short. */
  readonly userIsBusy: boolean;
  readonly memoryIsShort: boolean;
  /** Nothing can be built, for nobody. */
  readonly daemonIsDown: boolean;
  readonly freeMemoryBytes: number;
  /** Peer ids of the members by this name or peer id. */
  readonly peerIdsOf: (submitter: string) => readonly string[];
}

/** What a machine gives at the moment. */
export interface Offer {
  readonly capacity: WorkerCapacity;
  /** Slots to tell homes of: what they are to reckon with, even while load leaves none for minutes. */
  readonly ownSlots: number;
  readonly otherSlots: number;
  /** Why others get nothing, as the end of "takes no builds now: …"; absent: they do. */
  readonly closed: string | undefined;
}

/** Half of the slots are as good as the owner's: his jobs never wait for others' builds to end. */
const DEFAULT_OWN_SHARE = 0.5;

export function offerOf(config: OfferConfig, facts: OfferFacts): Offer {
  const cores = Math.max(1, Math.min(config.cores ?? facts.cores, facts.cores));
  // Fewer cores than Nix knows of mean fewer builds too.
  const slots = config.cores === undefined ? facts.slots : Math.min(facts.slots, cores);
  const reservedSlots = Math.ceil(slots * (config.ownShare ?? DEFAULT_OWN_SHARE));
  const refused = refusal(config, facts, slots);
  const otherSlots = refused === undefined ? Math.min(slots, config.slots ?? slots) : 0;
  const closed = refused ?? strain(facts);
  const homes = config.submitters?.flatMap((submitter) => facts.peerIdsOf(submitter));
  const most = facts.daemonIsDown ? 0 : facts.memoryIsShort ? 1 : slots;
  return {
    ownSlots: slots,
    otherSlots,
    closed,
    capacity: {
      slots: Math.min(most, slots),
      slotsForOthers: closed === undefined ? otherSlots : 0,
      cores,
      reservedSlots: Math.min(most, reservedSlots),
      freeMemoryBytes: facts.freeMemoryBytes,
      ...(homes === undefined ? {} : { homes }),
      ...(closed === undefined ? {} : { closed: `This machine takes no builds now: ${closed}.` }),
    },
  };
}

/** Why a home that is not among those served gets nothing, in the same words as `closed`. */
export function submittersOnly(config: OfferConfig): string {
  return `its owner lets it build only for ${config.submitters?.join(', ') || 'itself'}`;
}

/** What the owner wants. Homes are told that there are no slots. */
function refusal(config: OfferConfig, facts: OfferFacts, slots: number): string | undefined {
  if (facts.pause !== undefined) return pauseSentence(facts.pause);
  if (slots === 0 || config.slots === 0) return 'its owner offers no slots';
  if (config.hours !== undefined && !config.hours.some((hours) => isWithinHours(hours, facts.minuteOfDay)))
    return `its owner offers it ${config.hours.join(' and ') || 'at no hour'} only`;
  if (config.onlyOnMains === true && !facts.onMains) return 'it runs on battery';
  return undefined;
}

/** What passes by itself. Homes reckon with the machine, but are sent no requests. */
function strain(facts: OfferFacts): string | undefined {
  if (facts.daemonIsDown) return 'its nix-daemon does not answer';
  if (facts.memoryIsShort) return 'it is short of memory';
  if (facts.userIsBusy) return 'its user needs the processors';
  return undefined;
}

function pauseSentence({ untilMs, reason }: Pause): string {
  const until = untilMs === undefined ? '' : ` until ${new Date(untilMs).toISOString()}`;
  return `paused by its owner${until}${reason === undefined ? '' : ` (${reason})`}`;
}
