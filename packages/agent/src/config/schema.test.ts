import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RESERVED_VARIABLES, variableOf } from './environment.ts';
import { leafKeys, schemaAt, valueAt, withValueAt } from './key-paths.ts';
import { editDistance, nearestKey } from './nearest-key.ts';
import { problemsIn } from './problems.ts';
import { configKeys } from './schema.ts';
import { valueFromText } from './value-text.ts';

const keys = leafKeys(configKeys);
const paths = keys.map(({ path }) => path);

describe('the keys of the configuration', () => {
  it('say what they are and what holds without them', () => {
    for (const { path, schema } of keys) {
      expect(schema.description, path).toMatch(/\.$/);
      expect(schema.default !== undefined || schema.without !== undefined, path).toBe(true);
    }
  });

  it('have defaults and examples that are right', () => {
    for (const { path, schema } of keys) {
      const values = [schema.default, ...(schema.examples ?? [])].filter((value) => value !== undefined);
      for (const value of values) expect(problemsIn(withValueAt({}, path, value)), path).toEqual([]);
    }
  });

  it('have an environment variable each, that nothing else is called by', () => {
    const variables = paths.map(variableOf);
    expect(new Set([...variables, ...RESERVED_VARIABLES]).size).toBe(
      paths.length + RESERVED_VARIABLES.length,
    );
    expect(variableOf('offer.maxCpuPressureOfOthers')).toBe('MESH_OFFER_MAX_CPU_PRESSURE_OF_OTHERS');
  });

  it('are found by their paths, and sections are too', () => {
    for (const { path, schema } of keys) expect(schemaAt(configKeys, path)).toBe(schema);
    expect(schemaAt(configKeys, 'offer')).toBe(configKeys.offer);
    for (const none of ['', 'offer.', 'offer.cores.x', 'toString', 'offer.constructor', '__proto__'])
      expect(schemaAt(configKeys, none)).toBeUndefined();
  });
});

describe('a value at a path', () => {
  const path = fc.constantFrom(...paths);

  it('is there when it was put there, and nothing else changed', () => {
    fc.assert(
      fc.property(path, path, fc.integer(), fc.integer(), (first, second, one, two) => {
        fc.pre(first !== second);
        const both = withValueAt(withValueAt({}, first, one), second, two);
        expect([valueAt(both, first), valueAt(both, second)]).toEqual([one, two]);
        expect(withValueAt(both, second, undefined)).toEqual(withValueAt({}, first, one));
      }),
    );
  });
});

describe('a value as text', () => {
  const value = (path: string, text: string) =>
    valueFromText(path, schemaAt(configKeys, path)!, text, 'wrong');

  it.each([
    ['name', 'ruby', 'ruby'],
    ['name', '123', '123'],
    ['slots', '0', 0],
    ['mdns', 'false', false],
    ['offer.ownShare', '0.25', 0.25],
    ['keep.maxBytes', '20G', '20G'],
    ['keep.maxBytes', '4096', 4096],
    ['tags', 'rack1, ssd', ['rack1', 'ssd']],
    ['tags', '["rack1","ssd"]', ['rack1', 'ssd']],
    ['tags', '', []],
    ['peers', '/ip4/10.0.0.1/tcp/4747', ['/ip4/10.0.0.1/tcp/4747']],
    [
      'peers',
      'ruby,10.0.0.1:5000,fd00::7,[fd00::7]:4747',
      ['ruby', '10.0.0.1:5000', 'fd00::7', '[fd00::7]:4747'],
    ],
    ['builders.machines', 'ssh://a - - 2 1 kvm,lab; @/etc/b', ['ssh://a - - 2 1 kvm,lab', '@/etc/b']],
  ])('%s: %j is %j', (path, text, expected) => {
    expect(value(path, text)).toEqual(expected);
  });

  it.each([
    ['peers', 'http://ruby', 'peers[0] cannot be "http://ruby"'],
    ['peers', 'ruby:', 'peers[0] cannot be "ruby:"'],
    ['tags', 'a,b,a', 'tags has "a" twice'],
    ['upload.limitRate', '1', 'upload.limitRate cannot be'],
    ['upload.limitRate', '31K', 'upload.limitRate cannot be'],
    [
      'frontDoor.authorizedKeys',
      '[{"key":"x","name":"n","rights":"build"}]',
      'at least 32 characters, not be "x"',
    ],
  ])('%s: %j is refused by name', (path, text, sentence) => {
    expect(() => value(path, text)).toThrow(sentence);
  });

  it('in JSON is what it was, for every key with an example or a default', () => {
    for (const { path, schema } of keys) {
      if (schema.type === 'string') continue;
      for (const one of [schema.default, ...(schema.examples ?? [])])
        if (one !== undefined) expect(value(path, JSON.stringify(one)), path).toEqual(one);
    }
  });
});

describe('the nearest key', () => {
  it('is found from one slip, wherever it is', () => {
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.nat(), fc.constantFrom('x', ''), (path, at, letter) => {
        const start = path.lastIndexOf('.') + 1;
        const index = start + (at % (path.length - start));
        const wrong = path.slice(0, index) + letter + path.slice(index + 1);
        fc.pre(!paths.includes(wrong) && path.length - start > 4);
        const nearest = nearestKey(wrong, paths);
        expect(nearest).toBeDefined();
        expect(editDistance(wrong, nearest!)).toBeLessThanOrEqual(Math.max(1, editDistance(wrong, path)));
      }),
    );
  });

  it('is none for what resembles nothing', () => {
    expect(nearestKey('frobnicate', paths)).toBeUndefined();
  });
});
