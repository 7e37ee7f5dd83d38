import { hostname } from 'node:os';
import { AgentError } from '../errors.ts';
import type { KeepConfig } from '../worker/kept-limits.ts';
import type { OfferConfig } from '../worker/offer.ts';
import type { UploadConfig } from '../worker/upload-limit.ts';
import { type ConfigSources, mergeLayers, readLayers } from './layers.ts';
import { NAME_PATTERN } from './patterns.ts';
import type { BuildersConfig } from './sections/builders.ts';
import { type CacheConfig, DEFAULT_CACHE_PORT } from './sections/cache.ts';
import { DEFAULT_FRONT_DOOR_PORT, type FrontDoorConfig, type FrontDoorKey } from './sections/front-door.ts';
import { DEFAULT_LISTEN_PORT, DEFAULT_TRANSFER_PORT, type InterfaceConfig } from './sections/network.ts';

/** Settings in force: the configuration's, overridden by the command line's. */
export interface AgentSettings {
  name: string;
  listenPort: number;
  transferPort: number;
  peers: string[];
  mdns: boolean;
  /** Whether to serve `nix.sock`. */
  nixSocket: boolean;
  interfaces: InterfaceConfig;
  slots: number | undefined;
  offer: OfferConfig;
  tags: readonly string[];
  /** Undefined where it is switched off. */
  cache: { port: number; priority?: number } | undefined;
  keep: KeepConfig;
  upload: UploadConfig;
  /** Undefined where it is closed. */
  frontDoor: { port: number; address?: string; keys: readonly FrontDoorKey[] } | undefined;
  builders: BuildersConfig;
}

/**
 * Reads the configuration (`config.json` under `stateDir`, of which there need be none, and what lies under and over it) and puts the
 * command line's settings over that.
 * @throws AgentError AGENT_BAD_CONFIG: names the place
 */
export function readSettings(
  stateDir: string,
  given: Partial<AgentSettings>,
  around: Omit<ConfigSources, 'stateDir'> = {},
): AgentSettings {
  const config = mergeLayers(readLayers({ ...around, stateDir }));
  const name = given.name ?? config.name ?? defaultName(hostname());
  if (!new RegExp(NAME_PATTERN).test(name)) {
    throw new AgentError(
      'AGENT_BAD_CONFIG',
      `${JSON.stringify(name)} cannot be a machine's name; use up to 63 letters, digits, dots, dashes and underscores.`,
      { exitCode: 2 },
    );
  }
  return {
    name,
    listenPort: given.listenPort ?? config.listenPort ?? DEFAULT_LISTEN_PORT,
    transferPort: given.transferPort ?? config.transferPort ?? DEFAULT_TRANSFER_PORT,
    peers: [...(config.peers ?? []), ...(given.peers ?? [])],
    mdns: given.mdns ?? config.mdns ?? true,
    interfaces: config.interfaces ?? {},
    nixSocket: given.nixSocket ?? config.nixSocket ?? true,
    slots: given.slots ?? config.slots,
    offer: config.offer ?? {},
    tags: config.tags ?? [],
    cache: cacheSettings(config.cache ?? {}),
    keep: config.keep ?? {},
    // A limit of the command line holds at every hour.
    upload: given.upload ?? config.upload ?? {},
    frontDoor: frontDoorSettings(config.frontDoor ?? {}),
    builders: config.builders ?? {},
  };
}

function frontDoorSettings({
  enabled,
  port,
  address,
  authorizedKeys,
}: FrontDoorConfig): AgentSettings['frontDoor'] {
  if (enabled !== true) return undefined;
  return {
    port: port ?? DEFAULT_FRONT_DOOR_PORT,
    ...(address === undefined ? {} : { address }),
    keys: authorizedKeys ?? [],
  };
}

function cacheSettings({ enabled, port, priority }: CacheConfig): AgentSettings['cache'] {
  if (enabled === false) return undefined;
  return { port: port ?? DEFAULT_CACHE_PORT, ...(priority === undefined ? {} : { priority }) };
}

/** A host name as a machine's name: what does not fit is left out. */
function defaultName(host: string): string {
  const name = host
    .replace(/\..*$/, '')
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 63);
  return name === '' ? 'machine' : name;
}
