import { type JsonObject, leafKeys, withValueAt } from './key-paths.ts';
import { configKeys } from './schema.ts';
import { valueFromText } from './value-text.ts';

/** Of other things, which a key must not come to be called. */
export const RESERVED_VARIABLES: readonly string[] = [
  'MESH_STATE_DIR',
  'MESH_SOCKET_DIR',
  'MESH_LAB',
  'MESH_LAB_CACHE',
];

/** The environment variable that sets a key: `MESH_OFFER_CORES` for `offer.cores`. */
export function variableOf(path: string): string {
  const words = path.replaceAll('.', '_').replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2');
  return `MESH_${words.toUpperCase()}`;
}

/**
 * What the environment sets. An empty variable sets nothing.
 * @throws AgentError AGENT_BAD_CONFIG: names the variable
 */
export function configOfEnvironment(env: Readonly<Record<string, string | undefined>>): JsonObject {
  let config: JsonObject = {};
  for (const { path, schema } of leafKeys(configKeys)) {
    const variable = variableOf(path);
    const text = env[variable];
    if (text === undefined || text === '') continue;
    config = withValueAt(
      config,
      path,
      valueFromText(path, schema, text, `${variable} in the environment is wrong`),
    );
  }
  return config;
}
