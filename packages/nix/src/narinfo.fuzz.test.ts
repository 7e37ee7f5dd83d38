import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NixError } from './errors.ts';
import { type NarInfo, parseNarInfo, printNarInfo } from './narinfo.ts';
import { isStorePath, STORE_DIR } from './store-path.ts';
import { arbitraryMutations, mutated } from './testing/mutations.ts';

const text = (alphabet: string, minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom(...alphabet), { minLength, maxLength }).map((letters) => letters.join(''));
const BASE32 = '0123456789abcdfghijklmnpqrsvwxyz';

/** Names up to the longest there may be. */
const storePath = fc
  .tuple(text(BASE32, 32, 32), fc.oneof(text('abcXYZ019+-._?=', 1, 40), text('abcXYZ019+-._?=', 211, 211)))
  .map(([digits, name]) => `${STORE_DIR}/${digits}-${name}`)
  .filter(isStorePath);
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
const words = text('abc019:+/=- ', 1, 60).filter((value) => value.trim() === value && value !== '');

const narInfo: fc.Arbitrary<NarInfo> = fc
  .record(
    {
      path: storePath,
      url: words,
      compression: fc.constantFrom('none', 'xz', 'zstd'),
      narHash: hash,
      narSize: fc.maxSafeNat(),
      references: fc.array(storePath, { maxLength: 5 }).map((paths) => [...new Set(paths)].sort()),
      signatures: fc.array(words, { maxLength: 3 }),
      fileHash: hash,
      fileSize: fc.maxSafeNat(),
      deriver: storePath,
      ca: words,
    },
    { requiredKeys: ['path', 'url', 'compression', 'narHash', 'narSize', 'references', 'signatures'] },
  )
  // Written for want of a deriver, so never a deriver's name.
  .filter(({ deriver }) => !deriver?.endsWith('unknown-deriver'));

/** What a text says; undefined where it is refused, which must be in the one way there is. */
function read(narinfo: string): NarInfo | undefined {
  try {
    return parseNarInfo(narinfo);
  } catch (error) {
    expect(error).toBeInstanceOf(NixError);
    expect(error).toMatchObject({ code: 'NIX_BAD_NARINFO' });
    return undefined;
  }
}

/** What every description that was accepted is, whatever it was read from. */
function expectUsable(info: NarInfo): void {
  for (const path of [info.path, ...info.references, ...(info.deriver === undefined ? [] : [info.deriver])]) {
    expect(isStorePath(path)).toBe(true);
  }
  for (const bytes of [info.narHash, ...(info.fileHash === undefined ? [] : [info.fileHash])]) {
    expect(bytes.length).toBe(32);
  }
  expect(Number.isSafeInteger(info.narSize) && info.narSize >= 0).toBe(true);
  expect(printNarInfo(parseNarInfo(printNarInfo(info)))).toBe(printNarInfo(info));
}

test('what is printed is read as it was', () => {
  fc.assert(
    fc.property(narInfo, (info) => {
      expect(parseNarInfo(printNarInfo(info))).toEqual(info);
    }),
    { numRuns: 300 },
  );
});

test('a changed narinfo is refused, or as good as any other', () => {
  fc.assert(
    fc.property(narInfo, arbitraryMutations, (info, mutations) => {
      const changed = mutated(Buffer.from(printNarInfo(info)), mutations).toString('utf8');
      const found = read(changed);
      if (found !== undefined) expectUsable(found);
    }),
    { numRuns: 800 },
  );
});

test('lines shuffled, doubled and left out are refused, or as good as any other', () => {
  const lines = fc
    .tuple(narInfo, narInfo)
    .chain(([one, other]) =>
      fc.shuffledSubarray([...printNarInfo(one).split('\n'), ...printNarInfo(other).split('\n')]),
    );
  fc.assert(
    fc.property(lines, (chosen) => {
      const found = read(chosen.join('\n'));
      if (found !== undefined) expectUsable(found);
    }),
    { numRuns: 500 },
  );
});

test('any text is refused', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (anything) => {
      expect(read(anything)).toBeUndefined();
    }),
    { numRuns: 1_000 },
  );
});

interface HostileNarInfo {
  readonly name: string;
  /** Lines put in the place of the good narinfo's lines with the same field names; null leaves them out. */
  readonly instead: Record<string, string | null>;
}
const GOOD: Record<string, string> = {
  StorePath: 'StorePath: /nix/store/bd29bggd1xg6yg5xs8fv19isxfzkwdsc-multi',
  URL: 'URL: nar/bd29bggd1xg6yg5xs8fv19isxfzkwdsc.nar',
  Compression: 'Compression: none',
  NarHash: 'NarHash: sha256:1kd842jm1zf5cfc4p81267pr9gn4an95vxi4plnppsg9f0g6ykv6',
  NarSize: 'NarSize: 520',
  References: 'References: 4iz6nn3akmsm5z92pxfvbnhr8izz5v88-a',
};
const CASES = JSON.parse(
  readFileSync(new URL('../fixtures/hostile-narinfos.json', import.meta.url), 'utf8'),
) as HostileNarInfo[];

describe('a narinfo with', () => {
  test('nothing wrong is read', () => {
    expect(read(Object.values(GOOD).join('\n'))).toBeDefined();
  });

  test.each(CASES)('$name is refused', ({ instead }) => {
    const lines = Object.values({ ...GOOD, ...instead }).filter((line) => line !== null);
    expect(read(lines.join('\n'))).toBeUndefined();
  });
});
