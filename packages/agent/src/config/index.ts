/** Configuration of agents: the keys there are, their files, and what is in force. Loads nothing of the agent itself. */
export { ConfigFile } from './config-file.ts';
export { variableOf } from './environment.ts';
export { type JsonObject, type Key, leafKeys, schemaAt, valueAt, withValueAt } from './key-paths.ts';
export type { KeySchema } from './key-schema.ts';
export {
  type ConfigLayer,
  type ConfigSources,
  layerOf,
  MACHINE_CONFIG_DIR,
  mergeLayers,
  readLayers,
} from './layers.ts';
export { noSuchKey, problemsIn } from './problems.ts';
export { configKeys, configSchema } from './schema.ts';
export { valueFromText } from './value-text.ts';
