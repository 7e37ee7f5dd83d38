import { decode as decodeCbor, encode as encodeCbor } from 'cborg';
import * as v from 'valibot';
import { WireError } from './wire-error.ts';

/** Messages nest a few levels; more is an attempt to exhaust the decoder's stack. */
export const MAX_CBOR_DEPTH = 32;

const DECODE_OPTIONS = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowNaN: false,
  allowInfinity: false,
  rejectDuplicateMapKeys: true,
};

/** A schema that messages are checked against. */
export type Schema<T> = v.GenericSchema<unknown, T>;

/** A byte string, whatever its buffer (`v.instance(Uint8Array)` would insist on an ArrayBuffer). */
export const bytesSchema = v.custom<Uint8Array>((value) => value instanceof Uint8Array);

/**
 * `value` as deterministic CBOR (RFC 8949 §4.2: shortest integers, definite lengths, sorted keys). Undefined properties are left
 * out. The value is trusted: only what arrives is checked against a schema.
 */
export function encode(value: unknown): Uint8Array {
  return encodeCbor(value, { ignoreUndefinedProperties: true });
}

/**
 * The value in `bytes`, checked against `schema`; fields the schema does not know are dropped.
 * @throws {WireError} `WIRE_BAD_MESSAGE`
 */
export function decode<T>(schema: Schema<T>, bytes: Uint8Array): T {
  return validate(schema, decodeUnchecked(bytes));
}

/**
 * The value in `bytes` before any schema: strict CBOR, at most {@link MAX_CBOR_DEPTH} deep.
 * @throws {WireError} `WIRE_BAD_MESSAGE`
 */
export function decodeUnchecked(bytes: Uint8Array): unknown {
  if (cborDepth(bytes) > MAX_CBOR_DEPTH) {
    throw new WireError('WIRE_BAD_MESSAGE', `A message nests deeper than ${MAX_CBOR_DEPTH} levels.`);
  }
  try {
    return decodeCbor(bytes, DECODE_OPTIONS);
  } catch {
    // The decoder's own words quote the input; the peer's bytes are not worth a line in a log.
    throw new WireError('WIRE_BAD_MESSAGE', 'A message is not valid deterministic CBOR.');
  }
}

/**
 * `value` as `schema` understands it.
 * @throws {WireError} `WIRE_BAD_MESSAGE`, naming the first field that is wrong, and for another version what to do
 */
export function validate<T>(schema: Schema<T>, value: unknown): T {
  const result = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = v.getDotPath(issue);
  if (path !== null && /(^|\.)version$/.test(path) && typeof issue.input === 'number') {
    throw new WireError(
      'WIRE_BAD_MESSAGE',
      `A message has version ${issue.input}, and this agent knows version ${issue.expected}: upgrade the older of the two.`,
    );
  }
  const where = path === null ? 'its outermost value' : `field "${path.slice(0, 80)}"`;
  throw new WireError('WIRE_BAD_MESSAGE', `A message does not follow its schema at ${where}.`);
}

/**
 * How deep the arrays, maps and tags of `bytes` nest, found without recursion; malformed input ends the count early
 * (the decoder says what is wrong with it). Layout: RFC 8949 §3.
 */
function cborDepth(bytes: Uint8Array): number {
  const open: number[] = [];
  let deepest = 0;
  let at = 0;
  while (at < bytes.length) {
    const initial = bytes[at++]!;
    const major = initial >> 5;
    const minor = initial & 31;
    let argument = minor;
    if (minor >= 24) {
      if (minor > 27) return deepest;
      const width = 1 << (minor - 24);
      argument = 0;
      for (let i = 0; i < width; i++) argument = argument * 256 + (bytes[at + i] ?? 0);
      at += width;
    }
    const children = major === 4 ? argument : major === 5 ? argument * 2 : major === 6 ? 1 : 0;
    if (major === 2 || major === 3) at += argument;
    if (children > 0) {
      open.push(children);
      deepest = Math.max(deepest, open.length);
      if (deepest > MAX_CBOR_DEPTH) return deepest;
      continue;
    }
    while (open.length > 0 && --open[open.length - 1]! === 0) open.pop();
  }
  return deepest;
}
