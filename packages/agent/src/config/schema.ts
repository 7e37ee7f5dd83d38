import type { KeepConfig } from '../worker/kept-limits.ts';
import type { OfferConfig } from '../worker/offer.ts';
import type { UploadConfig } from '../worker/upload-limit.ts';
import type { KeySchema, KeySchemas } from './key-schema.ts';
import { type BuildersConfig, buildersSection } from './sections/builders.ts';
import { type CacheConfig, cacheSection } from './sections/cache.ts';
import { type FrontDoorConfig, frontDoorSection } from './sections/front-door.ts';
import { keepSection } from './sections/keep.ts';
import { type MachineConfig, machineKeys } from './sections/machine.ts';
import { type NetworkConfig, networkKeys } from './sections/network.ts';
import { offerSection } from './sections/offer.ts';
import { type PlainNixConfig, plainNixKeys } from './sections/plain-nix.ts';
import { uploadSection } from './sections/upload.ts';

/** The version of `config.json`'s format that this mesh reads and writes. */
export const CONFIG_VERSION = 1;

/** What an owner may set for a machine's agent; everything else is detected. */
export interface AgentConfig extends MachineConfig, NetworkConfig, PlainNixConfig {
  /** What of this machine others may use, and when. */
  offer?: OfferConfig;
  /** The binary cache for any Nix on this machine (docs/cache.md). */
  cache?: CacheConfig;
  /** How long what was built here for others stays, and how much of it. */
  keep?: KeepConfig;
  /** How much of the network serving members may take, and when. */
  upload?: UploadConfig;
  /** The SSH front door for machines without an agent (docs/plain-nix.md). */
  frontDoor?: FrontDoorConfig;
  /** Machines without an agent (docs/agentless.md). */
  builders?: BuildersConfig;
}

/**
 * Every key there is, in the order of docs/configuration.md (`npm run docs` makes it). A new section is a file in `sections`, a line in
 * {@link AgentConfig} and one here; what the agent makes of it stands in `settings.ts`.
 */
export const configKeys: Readonly<Record<string, KeySchema>> = {
  ...machineKeys,
  ...networkKeys,
  ...plainNixKeys,
  offer: offerSection,
  cache: cacheSection,
  keep: keepSection,
  upload: uploadSection,
  frontDoor: frontDoorSection,
  builders: buildersSection,
} satisfies KeySchemas<AgentConfig>;

/** A configuration file as JSON Schema (2020-12). */
export const configSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Configuration of a mesh agent',
  type: 'object',
  additionalProperties: false,
  properties: { configVersion: { const: CONFIG_VERSION }, ...configKeys },
} as const;
