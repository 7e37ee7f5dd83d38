import type { MachineCapability } from '../machine/capability.ts';
import type { Introduction } from './introduction.ts';
import type { Offer } from './offer.ts';

/** What does not change of a machine while its agent runs. */
export interface MachineIdentity {
  self: string;
  name: string;
  /** The memory may be unknown. */
  capability: Omit<MachineCapability, 'memoryBytes'> & { memoryBytes: number | undefined };
  tags: readonly string[];
  /** Why a home that is not among those served gets nothing. */
  submittersOnly: string;
  /** It builds only what requires all of these. */
  mandatoryFeatures?: readonly string[];
  /** What it builds is in its home's store when it says so. */
  delivers?: boolean;
}

/** What does. */
export interface MachineNews {
  speed(): number;
  emulated(): Record<string, number>;
  freeDiskBytes(): number | undefined;
}

/** What a worker says of itself to this home: of slots and reasons, those that concern it. */
export function introduceTo(
  home: string,
  { self, name, capability, tags, submittersOnly, mandatoryFeatures, delivers }: MachineIdentity,
  { capacity, ownSlots, otherSlots, closed }: Offer,
  news: MachineNews,
  freeMemoryBytes: number | undefined,
): Introduction {
  const served = home === self || (capacity.homes?.includes(home) ?? true);
  const why = home === self ? undefined : served ? closed : submittersOnly;
  const freeDiskBytes = news.freeDiskBytes();
  return {
    type: 'worker',
    name,
    systems: capability.systems,
    systemFeatures: capability.systemFeatures,
    slots: home === self ? ownSlots : served ? otherSlots : 0,
    cores: capacity.cores,
    speed: news.speed(),
    emulated: news.emulated(),
    tags: [...tags],
    ...(capability.memoryBytes === undefined ? {} : { memoryBytes: capability.memoryBytes }),
    ...(freeMemoryBytes === undefined ? {} : { freeMemoryBytes }),
    ...(freeDiskBytes === undefined ? {} : { freeDiskBytes }),
    ...(why === undefined ? {} : { closed: why }),
    ...(mandatoryFeatures === undefined ? {} : { mandatoryFeatures: [...mandatoryFeatures] }),
    ...(delivers === undefined ? {} : { delivers }),
  };
}
