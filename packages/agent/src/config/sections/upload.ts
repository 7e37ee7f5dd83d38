import { MIN_UPLOAD_BYTES_PER_S, type UploadConfig } from '../../worker/upload-limit.ts';
import { section } from '../key-schema.ts';
import { HOURS_PATTERN } from '../patterns.ts';

/** Sizes that are not plainly below {@link MIN_UPLOAD_BYTES_PER_S}; the agent looks at what is near it. */
const RATE_PATTERN =
  '^([1-9][0-9]{4,14}|(3[2-9]|[4-9][0-9]|[1-9][0-9]{2,14})(\\.[0-9]{1,3})?K|[0-9]{1,15}(\\.[0-9]{1,3})?[MGT])$';

export const uploadSection = section<UploadConfig>(
  'How much of the network serving members may take ([docs/cache.md](cache.md#configuration)).',
  {
    limitRate: {
      description:
        'Bytes a second for all members together: a number, or one with K, M, G or T (of 1,024) behind it, 32K at least.',
      anyOf: [
        { type: 'number', minimum: MIN_UPLOAD_BYTES_PER_S },
        { type: 'string', pattern: RATE_PATTERN },
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
