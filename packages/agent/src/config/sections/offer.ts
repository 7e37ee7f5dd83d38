import type { OfferConfig } from '../../worker/offer.ts';
import { section } from '../key-schema.ts';
import { HOURS_PATTERN } from '../patterns.ts';

const pressure = { type: 'number', minimum: 0, maximum: 100, default: 20 } as const;

export const offerSection = section<OfferConfig>(
  'What others may use of this machine, and when ([docs/offer.md](offer.md)).',
  {
    cores: {
      description: "Processor cores for all builds of the mesh together, this machine's own included.",
      type: 'integer',
      minimum: 1,
      maximum: 4_096,
      without: 'all',
    },
    slots: {
      description: 'Builds of others at once; 0 gives nothing to others.',
      type: 'integer',
      minimum: 0,
      maximum: 4_096,
      without: 'as many as the machine runs',
    },
    hours: {
      description: 'Times of the day, local time, in which others may use it; may pass midnight.',
      type: 'array',
      items: { type: 'string', pattern: HOURS_PATTERN },
      maxItems: 32,
      without: 'always',
      examples: [['22:00-07:00', '12:00-13:00']],
    },
    submitters: {
      description: 'Names or peer ids of the only machines it builds for.',
      type: 'array',
      items: { type: 'string', minLength: 1, maxLength: 64 },
      maxItems: 256,
      without: 'every member that may submit',
      examples: [['ruby', 'kana']],
    },
    onlyOnMains: {
      description: 'Nothing for others while it runs on battery.',
      type: 'boolean',
      default: false,
    },
    ownShare: {
      description: 'Share of the slots that its own jobs get even while others fill all of them.',
      type: 'number',
      minimum: 0,
      maximum: 1,
      default: 0.5,
    },
    maxMemoryPressure: {
      ...pressure,
      description:
        'Memory pressure (PSI `some avg10`, percent) from which on no build of others begins, and own ones one at a time.',
    },
    maxCpuPressureOfOthers: {
      ...pressure,
      description:
        'Processor pressure (PSI `some avg10`, percent) while the mesh runs little here, from which on its user has the machine to himself.',
    },
  },
);
