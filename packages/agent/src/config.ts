import { hostname } from 'node:os';
import Conf from 'conf';
import { AgentError } from './errors.ts';
import { type KeepConfig, SIZE_PATTERN } from './worker/kept-limits.ts';
import type { OfferConfig } from './worker/offer.ts';
import type { UploadConfig } from './worker/upload-limit.ts';

/** What an owner may set for a machine's agent; everything else is detected. Kept in `config.json` of the state directory. */
export interface AgentConfig {
  /** Version of this file's format. */
  configVersion: 1;
  /** Name of this machine in the mesh; its host name by default. */
  name?: string;
  /** TCP port of the control plane; 0 for any free one. */
  listenPort?: number;
  /** Multiaddrs of agents to call, for networks without multicast. */
  peers?: string[];
  /** Whether to look for agents by multicast DNS. */
  mdns?: boolean;
  /** Builds at once; Nix's `max-jobs` by default. */
  slots?: number;
  /** What of this machine others may use, and when. */
  offer?: OfferConfig;
  /** Words for `--on tag=…`. */
  tags?: string[];
  /** The binary cache for any Nix on this machine (docs/cache.md). */
  cache?: CacheConfig;
  /** How long what was built here for others stays, and how much of it. */
  keep?: KeepConfig;
  /** How much of the network serving members may take, and when. */
  upload?: UploadConfig;
}

/** Of the binary cache. */
export interface CacheConfig {
  /** Default true. */
  enabled?: boolean;
  /** TCP port on 127.0.0.1; it stands in nix.conf, so it does not change by itself. */
  port?: number;
  /** Lower is asked earlier; cache.nixos.org has 40. */
  priority?: number;
}

const DEFAULT_LISTEN_PORT = 4747;
const DEFAULT_CACHE_PORT = 4749;
const NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$';
/** `22:00-07:00`; a day ends at 24:00. */
const HOURS_PATTERN = '^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$';
const TAG_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$';
const percent = { type: 'number', minimum: 0, maximum: 100 } as const;

const schema = {
  configVersion: { const: 1 },
  name: { type: 'string', pattern: NAME_PATTERN },
  listenPort: { type: 'integer', minimum: 0, maximum: 65_535 },
  peers: { type: 'array', items: { type: 'string', pattern: '^/' }, maxItems: 64 },
  mdns: { type: 'boolean' },
  slots: { type: 'integer', minimum: 0, maximum: 4_096 },
  offer: {
    type: 'object',
    additionalProperties: false,
    properties: {
      cores: { type: 'integer', minimum: 1, maximum: 4_096 },
      slots: { type: 'integer', minimum: 0, maximum: 4_096 },
      hours: { type: 'array', items: { type: 'string', pattern: HOURS_PATTERN }, maxItems: 32 },
      submitters: { type: 'array', items: { type: 'string', minLength: 1, maxLength: 64 }, maxItems: 256 },
      onlyOnMains: { type: 'boolean' },
      ownShare: { type: 'number', minimum: 0, maximum: 1 },
      maxMemoryPressure: percent,
      maxCpuPressureOfOthers: percent,
    },
  },
  cache: {
    type: 'object',
    additionalProperties: false,
    properties: {
      enabled: { type: 'boolean' },
      port: { type: 'integer', minimum: 1, maximum: 65_535 },
      priority: { type: 'integer', minimum: 1, maximum: 1_000 },
    },
  },
  tags: { type: 'array', items: { type: 'string', pattern: TAG_PATTERN }, maxItems: 64, uniqueItems: true },
  keep: {
    type: 'object',
    additionalProperties: false,
    properties: {
      maxBytes: {
        anyOf: [
          { type: 'number', minimum: 0 },
          { type: 'string', pattern: SIZE_PATTERN },
        ],
      },
      // Ten years: longer is a slip of the pen.
      maxAgeHours: { type: 'number', minimum: 0, maximum: 87_660 },
    },
  },
  upload: {
    type: 'object',
    additionalProperties: false,
    properties: {
      limitRate: {
        anyOf: [
          { type: 'number', minimum: 1 },
          { type: 'string', pattern: SIZE_PATTERN },
        ],
      },
      hours: { type: 'array', items: { type: 'string', pattern: HOURS_PATTERN }, maxItems: 32 },
    },
  },
} as const;

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
      schema,
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
