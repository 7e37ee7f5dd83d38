import { type KeepConfig, SIZE_PATTERN } from '../../worker/kept-limits.ts';
import { section } from '../key-schema.ts';

export const keepSection = section<KeepConfig>(
  'How much of what was built here for others stays ([docs/offer.md](offer.md#what-stays-of-it)).',
  {
    maxBytes: {
      description:
        'Store space for these results with all they refer to: bytes, or a number with K, M, G or T (of 1,024) behind it; 0 keeps none.',
      anyOf: [
        { type: 'number', minimum: 0 },
        { type: 'string', pattern: SIZE_PATTERN },
      ],
      default: '10G',
      examples: ['20G'],
    },
    maxAgeHours: {
      description: 'What nobody has asked for in so many hours is kept no longer; 0 keeps none.',
      type: 'number',
      minimum: 0,
      // Ten years: longer is a slip of the pen.
      maximum: 87_660,
      default: 72,
    },
  },
);
