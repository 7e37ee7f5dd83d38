import { section } from '../key-schema.ts';

/** What a key of the front door is for. `build`: a builder and a store to write to; `store`: a store to read from. */
export type FrontDoorRights = 'build' | 'store';

/** Of one key. */
export interface FrontDoorKey {
  /** A line of `authorized_keys` without options. */
  key: string;
  /** Who that is: `mesh jobs` tells it. */
  name: string;
  rights: FrontDoorRights;
}

/** Of the SSH front door. */
export interface FrontDoorConfig {
  /** Default false. */
  enabled?: boolean;
  port?: number;
  address?: string;
  authorizedKeys?: FrontDoorKey[];
}

export const DEFAULT_FRONT_DOOR_PORT = 4750;

export const frontDoorSection = section<FrontDoorConfig>(
  'The SSH front door for machines without an agent ([docs/plain-nix.md](plain-nix.md)).',
  {
    enabled: { description: '`true` opens the door.', type: 'boolean', default: false },
    port: {
      description: 'TCP port.',
      type: 'integer',
      minimum: 0,
      maximum: 65_535,
      default: DEFAULT_FRONT_DOOR_PORT,
    },
    address: {
      description: 'The address to listen on.',
      type: 'string',
      minLength: 1,
      maxLength: 64,
      without: 'all of the machine',
    },
    authorizedKeys: {
      description:
        'Who may come in: `key` is a line of `authorized_keys`, `name` is what `mesh jobs` says, `rights` is `build` (a builder, and a store to write to: as much as a trusted user of Nix) or `store` (a store to read from).',
      type: 'array',
      maxItems: 256,
      default: [],
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['key', 'name', 'rights'],
        properties: {
          key: { type: 'string', minLength: 32, maxLength: 8_192 },
          name: { type: 'string', minLength: 1, maxLength: 64 },
          rights: { enum: ['build', 'store'] },
        },
      },
    },
  },
);
