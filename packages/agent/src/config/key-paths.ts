import type { KeySchema } from './key-schema.ts';

/** A key with a value of its own, by its path: `offer.cores`. */
export interface Key {
  readonly path: string;
  readonly schema: KeySchema;
}

/** What a configuration is before anybody has looked at it, and while paths are taken through it. */
export type JsonObject = { [key: string]: unknown };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Every key that holds a value, in the schema's order. Sections hold keys, and are none themselves. */
export function leafKeys(keys: Readonly<Record<string, KeySchema>>, prefix = ''): Key[] {
  return Object.entries(keys).flatMap(([name, schema]) => {
    const path = `${prefix}${name}`;
    return schema.properties === undefined ? [{ path, schema }] : leafKeys(schema.properties, `${path}.`);
  });
}

/** The schema at a path: of a key or of a section; undefined where there is none. */
export function schemaAt(keys: Readonly<Record<string, KeySchema>>, path: string): KeySchema | undefined {
  let schema: KeySchema | undefined;
  let inside: Readonly<Record<string, KeySchema>> | undefined = keys;
  for (const name of path.split('.')) {
    schema = inside !== undefined && Object.hasOwn(inside, name) ? inside[name] : undefined;
    inside = schema?.properties;
  }
  return schema;
}

/** What stands at a path; undefined for nothing. */
export function valueAt(config: unknown, path: string): unknown {
  let value = config;
  for (const name of path.split('.')) {
    if (!isJsonObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** The configuration with another value at a path, or with none (`undefined`); sections that become empty go. */
export function withValueAt(config: JsonObject, path: string, value: unknown): JsonObject {
  const [name = '', ...rest] = path.split('.');
  const { [name]: before, ...others } = config;
  const below = isJsonObject(before) ? before : {};
  const after = rest.length === 0 ? value : withValueAt(below, rest.join('.'), value);
  const emptied = rest.length > 0 && isJsonObject(after) && Object.keys(after).length === 0;
  if (after === undefined || emptied) return others;
  // A key keeps its place in the file.
  return Object.hasOwn(config, name) ? { ...config, [name]: after } : { ...others, [name]: after };
}
