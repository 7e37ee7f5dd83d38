/**
 * One key of `config.json`: JSON Schema (2020-12), of which any keyword may be used, and the words that docs/configuration.md is made of.
 * `default` is the value in force without the key and is documented as it stands; `without` says it where it is detected or has no value.
 */
export interface KeySchema {
  readonly description: string;
  readonly default?: unknown;
  readonly without?: string;
  readonly examples?: readonly unknown[];
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, KeySchema>>;
  /** What stands between the items of a list as text; a comma where nothing is said. */
  readonly separator?: string;
  readonly [keyword: string]: unknown;
}

/** The keys of `Config`, none forgotten and none too many. */
export type KeySchemas<Config> = { readonly [Key in keyof Required<Config>]: KeySchema };

/** A key that holds others: `offer`, `cache`. */
export interface SectionSchema<Config> extends KeySchema {
  readonly type: 'object';
  readonly additionalProperties: false;
  readonly properties: KeySchemas<Config>;
}

/** A section with these keys and no others. `description` is its heading's text in docs/configuration.md. */
export function section<Config>(description: string, properties: KeySchemas<Config>): SectionSchema<Config> {
  return { description, type: 'object', additionalProperties: false, properties };
}
