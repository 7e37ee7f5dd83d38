import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { isJsonObject, leafKeys } from './key-paths.ts';
import type { KeySchema } from './key-schema.ts';
import { nearestKey } from './nearest-key.ts';
import { configKeys, configSchema } from './schema.ts';

/** Enough to mend a file by; a file of another kind would fill the screen. */
const MAX_PROBLEMS = 5;
/** A value longer than this says nothing more about itself. */
const MAX_SHOWN_CHARS = 60;

const ajv = new Ajv2020({ allErrors: true, strict: false, verbose: true, useDefaults: false });
const validate = ajv.compile(configSchema);
const allPaths = leafKeys(configKeys).map(({ path }) => path);

const TYPE_WORDS: Record<string, string> = {
  string: 'a string',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
};

/** What is wrong with a configuration, each as a clause that names the key; nothing where it is right. */
export function problemsIn(config: unknown): string[] {
  if (!isJsonObject(config)) return ['it must be an object'];
  if (validate(config)) return [];
  const errors = validate.errors ?? [];
  const alternatives = errors.filter(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf');
  const told = errors.filter(
    (error) =>
      // What each of several possible forms lacks is said by the one sentence that none of them fits.
      !alternatives.some(
        (one) =>
          one !== error &&
          error.instancePath.startsWith(one.instancePath) &&
          error.schemaPath.startsWith(`${one.schemaPath}/`),
      ),
  );
  const clauses = [...new Set(told.map(clauseOf))];
  const more = clauses.length - MAX_PROBLEMS;
  return more > 0 ? [...clauses.slice(0, MAX_PROBLEMS), `and ${more} more`] : clauses;
}

/** That a key does not exist, and which was probably meant. */
export function noSuchKey(path: string): string {
  const meant = nearestKey(path, allPaths);
  return `there is no key ${path}${meant === undefined ? '' : `; did you mean ${meant}?`}`;
}

function clauseOf(error: ErrorObject): string {
  const { keyword, params, data } = error;
  const place = placeOf(error.instancePath);
  if (keyword === 'additionalProperties' || keyword === 'unevaluatedProperties') {
    const unknown = String(params.additionalProperty ?? params.unevaluatedProperty);
    const path = place === '' ? unknown : `${place}.${unknown}`;
    // Inside the items of a list the keys have no paths of their own to be near to.
    return place.includes('[') ? `there is no key ${path}` : noSuchKey(path);
  }
  if (keyword === 'type') return `${place} must be ${typeWords(params.type)}, not ${shown(data)}`;
  if (keyword === 'required') return `${place} needs ${params.missingProperty}`;
  if (keyword === 'minimum') return `${place} must be at least ${params.limit}, not ${shown(data)}`;
  if (keyword === 'maximum') return `${place} must be at most ${params.limit}, not ${shown(data)}`;
  if (keyword === 'minLength')
    return `${place} must have at least ${params.limit} characters, not be ${shown(data)}`;
  if (keyword === 'maxLength') return `${place} must have at most ${params.limit} characters`;
  if (keyword === 'maxItems') return `${place} must have at most ${params.limit} items`;
  if (keyword === 'uniqueItems') return `${place} has ${shown(itemAt(data, params.i))} twice`;
  if (keyword === 'enum')
    return `${place} must be one of ${params.allowedValues.map(shown).join(', ')}, not ${shown(data)}`;
  if (keyword === 'pattern' || keyword === 'anyOf' || keyword === 'oneOf') {
    return `${place} cannot be ${shown(data)}${exampleFor(error.instancePath)}`;
  }
  return `${place} ${error.message ?? 'is wrong'}`;
}

function itemAt(list: unknown, index: number): unknown {
  return Array.isArray(list) ? list[index] : undefined;
}

/** `/offer/hours/0` as `offer.hours[0]`. */
function placeOf(instancePath: string): string {
  return pointerNames(instancePath)
    .map((name) => (/^\d+$/.test(name) ? `[${name}]` : `.${name}`))
    .join('')
    .replace(/^\./, '');
}

function pointerNames(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function typeWords(type: string | string[]): string {
  return [type]
    .flat()
    .map((one) => TYPE_WORDS[one] ?? one)
    .join(' or ');
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text;
}

/** What would be right: the example nearest above the place in the schema. */
function exampleFor(instancePath: string): string {
  let schema: KeySchema | undefined = configSchema as unknown as KeySchema;
  let example: unknown;
  for (const name of pointerNames(instancePath)) {
    const list = /^\d+$/.test(name);
    schema = list ? (schema?.items as KeySchema | undefined) : schema?.properties?.[name];
    const own = schema?.examples?.[0];
    if (own !== undefined) example = own;
    else if (list && Array.isArray(example)) example = example[0];
    else if (!list) example = undefined;
  }
  return example === undefined ? '' : `, but for example ${shown(example)}`;
}
