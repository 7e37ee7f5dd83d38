import { hostname } from 'node:os';
import Conf, { type Schema } from 'conf';
import { AgentError } from '../errors.ts';
import type { KeepConfig } from '../worker/kept-limits.ts';
import type { OfferConfig } from '../worker/offer.ts';
import type { UploadConfig } from '../worker/upload-limit.ts';
import { NAME_PATTERN } from './patterns.ts';
import { type AgentConfig, configSchema } from './schema.ts';
import { type CacheConfig, DEFAULT_CACHE_PORT } from './sections/cache.ts';
import { DEFAULT_LISTEN_PORT } from './sections/network.ts';

/** Settings in force: the file's, overridden by the command line's. */
export interface AgentSettings {
  name: string;
  listenPort: number;
  peers: string[];
  mdns: boolean;
  slots: number | undefined;
  offer: OfferConfig;
  tags: readonly string[];
  /** Undefined where it is switched off. */
  cache: { port: number; priority?: number } | undefined;
  keep: KeepConfig;
  upload: UploadConfig;
}

/**
 * Reads `config.json` under `stateDir` (there need be none) and puts the command line's settings over it.
 * @throws AgentError AGENT_BAD_CONFIG: names the place
 */
export function readSettings(stateDir: string, given: Partial<AgentSettings>): AgentSettings {
  const file = readConfig(stateDir);
  const name = given.name ?? file.name ?? defaultName(hostname());
  if (!new RegExp(NAME_PATTERN).test(name)) {
    throw new AgentError(
      'AGENT_BAD_CONFIG',
      `${JSON.stringify(name)} cannot be a machine's name; use up to 63 letters, digits, dots, dashes and underscores.`,
      { exitCode: 2 },
    );
  }
  return {
    name,
    listenPort: given.listenPort ?? file.listenPort ?? DEFAULT_LISTEN_PORT,
    peers: [...(file.peers ?? []), ...(given.peers ?? [])],
    mdns: given.mdns ?? file.mdns ?? true,
    slots: given.slots ?? file.slots,
    offer: file.offer ?? {},
    tags: file.tags ?? [],
    cache: cacheSettings(file.cache ?? {}),
    keep: file.keep ?? {},
    // A limit of the command line holds at every hour.
    upload: given.upload ?? file.upload ?? {},
  };
}

function cacheSettings({ enabled, port, priority }: CacheConfig): AgentSettings['cache'] {
  if (enabled === false) return undefined;
  return { port: port ?? DEFAULT_CACHE_PORT, ...(priority === undefined ? {} : { priority }) };
}

function readConfig(stateDir: string): Partial<AgentConfig> {
  try {
    const conf = new Conf<AgentConfig>({
      cwd: stateDir,
      configName: 'config',
      rootSchema: { additionalProperties: false },
      schema: { ...configSchema.properties } as Schema<AgentConfig>,
      ajvOptions: { strict: false, useDefaults: false },
      // A file that is wrong must be mended by its owner, never thrown away.
      clearInvalidConfig: false,
    });
    return conf.store;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError(
      'AGENT_BAD_CONFIG',
      `${stateDir}/config.json is wrong (${reason}); mend or remove it.`,
      { cause },
    );
  }
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
