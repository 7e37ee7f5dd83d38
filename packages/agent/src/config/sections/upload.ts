import { SIZE_PATTERN } from '../../worker/kept-limits.ts';
import type { UploadConfig } from '../../worker/upload-limit.ts';
import { section } from '../key-schema.ts';
import { HOURS_PATTERN } from '../patterns.ts';

export const uploadSection = section<UploadConfig>(
  'How much of the network serving members may take ([docs/cache.md](cache.md#configuration)).',
  {
    limitRate: {
      description:
        'Bytes a second for all members together: a number, or one with K, M, G or T (of 1,024) behind it, 32K at least.',
      anyOf: [
        { type: 'number', minimum: 1 },
        { type: 'string', pattern: SIZE_PATTERN },
      ],
      without: 'no limit',
      examples: ['10M'],
    },
    hours: {
      description: 'Times of the day, local time, in which the limit holds; may pass midnight.',
      type: 'array',
      items: { type: 'string', pattern: HOURS_PATTERN },
      maxItems: 32,
      without: 'always',
      examples: [['08:00-18:00']],
    },
  },
);
