import { section } from '../key-schema.ts';

/** Of the binary cache. */
export interface CacheConfig {
  /** Default true. */
  enabled?: boolean;
  /** TCP port on 127.0.0.1; it stands in nix.conf, so it does not change by itself. */
  port?: number;
  /** Lower is asked earlier; cache.nixos.org has 40. */
  priority?: number;
}

export const DEFAULT_CACHE_PORT = 4749;

export const cacheSection = section<CacheConfig>(
  'The binary cache for every Nix on this machine ([docs/cache.md](cache.md)).',
  {
    enabled: {
      description: '`false` switches the cache off.',
      type: 'boolean',
      default: true,
    },
    port: {
      description:
        'TCP port on 127.0.0.1. Where another program has it, the agent logs that and goes on without.',
      type: 'integer',
      minimum: 1,
      maximum: 65_535,
      default: DEFAULT_CACHE_PORT,
    },
    priority: {
      description: 'Lower is asked earlier; cache.nixos.org has 40.',
      type: 'integer',
      minimum: 1,
      maximum: 1_000,
      default: 30,
    },
  },
);
