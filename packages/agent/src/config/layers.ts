import { ConfigFile } from './config-file.ts';
import { configOfEnvironment, variableOf } from './environment.ts';
import { type JsonObject, leafKeys, valueAt, withValueAt } from './key-paths.ts';
import { type AgentConfig, configKeys } from './schema.ts';

/** Set by whoever manages the machine (a NixOS module, say), and read by every agent on it, under the agent's own file. */
export const MACHINE_CONFIG_DIR = '/etc/mesh';

/** Where settings come from. */
export interface ConfigSources {
  /** Its `config.json` is the agent's own file. */
  readonly stateDir: string;
  /** Its `config.json` lies under that. */
  readonly machineDir?: string;
  /** Lies over both. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** What one of the sources sets. */
export interface ConfigLayer {
  readonly kind: 'machine' | 'own' | 'environment';
  readonly config: JsonObject;
  /** How a person finds where a key is set. */
  readonly place: (path: string) => string;
}

/**
 * What each source sets, the weakest first.
 * @throws AgentError AGENT_BAD_CONFIG: names the file or the variable
 */
export function readLayers({ stateDir, machineDir, env = {} }: ConfigSources): ConfigLayer[] {
  const layer = (kind: 'machine' | 'own', dir: string): ConfigLayer => {
    const file = new ConfigFile(dir);
    return { kind, config: file.read(), place: () => file.path };
  };
  return [
    ...(machineDir === undefined ? [] : [layer('machine', machineDir)]),
    layer('own', stateDir),
    { kind: 'environment', config: configOfEnvironment(env), place: variableOf },
  ];
}

/** The configuration that all layers make: of each key the strongest layer's value, whole. */
export function mergeLayers(layers: readonly ConfigLayer[]): AgentConfig {
  let merged: JsonObject = {};
  for (const { path } of leafKeys(configKeys)) {
    const value = layerOf(path, layers)?.value;
    if (value !== undefined) merged = withValueAt(merged, path, value);
  }
  // Every layer was checked against the schema, of which AgentConfig is the type.
  return merged as AgentConfig;
}

/** The layer that decides a key, and what it says. */
export function layerOf(
  path: string,
  layers: readonly ConfigLayer[],
): { layer: ConfigLayer; value: unknown } | undefined {
  for (const layer of layers.toReversed()) {
    const value = valueAt(layer.config, path);
    if (value !== undefined) return { layer, value };
  }
  return undefined;
}
