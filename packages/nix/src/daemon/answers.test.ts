import { describe, expect, test } from 'vitest';
import { readBuildResult, readMissing, readPathInfo, readSubstitutableInfos } from './answers.ts';
import { FEATURE_REALISATION_WITH_PATH } from './constants.ts';
import { wire } from './testing/wire-bytes.ts';
import { WireReader } from './wire-reader.ts';

/*
 * The layouts below, with these very values, are those of the golden files of NixOS/nix
 * (src/libstore-tests/data/worker-protocol), written down here field by field.
 */

const HASH = 'g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q';
const ID = 'sha256:6f869f9ea2823bda165e06076fd0de4366dead2c0e8d2dbbad277d4f15c373f5';

function readerOf(bytes: Uint8Array): WireReader {
  const reader = new WireReader({ pause: () => undefined, resume: () => undefined });
  reader.push(Buffer.from(bytes));
  reader.fail(new Error('read beyond the answer'));
  return reader;
}

const handshake = (minor: number, ...features: string[]) => ({
  protocol: { major: 1, minor },
  features: new Set(features),
  nixVersion: '',
  trust: 'unknown' as const,
});

const realisation = (name: string): string =>
  `{"dependentRealisations":{},"id":"${ID}!${name}","outPath":"${HASH}-${name}","signatures":[]}`;
const REALISATIONS = [2, `${ID}!bar`, realisation('bar'), `${ID}!foo`, realisation('foo')];

describe('build results', () => {
  test('a failure in 1.34 to 1.36', async () => {
    const bytes = wire(12, 'no idea why', 3, 1, 30, 50, 0);
    expect(bytes.subarray(0, 16).toString('hex')).toBe('0c000000000000000b00000000000000');
    expect(await readBuildResult(readerOf(bytes), handshake(34))).toEqual({
      status: 'not-deterministic',
      errorMsg: 'no idea why',
      startTime: 30,
      stopTime: 50,
      builtOutputs: new Map(),
    });
  });

  test('a success in 1.34 names its outputs in JSON', async () => {
    const result = await readBuildResult(readerOf(wire(0, '', 1, 0, 30, 50, ...REALISATIONS)), handshake(34));
    expect(result).toEqual({
      status: 'built',
      errorMsg: '',
      startTime: 30,
      stopTime: 50,
      builtOutputs: new Map([
        ['bar', `/nix/store/${HASH}-bar`],
        ['foo', `/nix/store/${HASH}-foo`],
      ]),
    });
  });

  test('since 1.37 there are processor times, in microseconds', async () => {
    const bytes = wire(0, '', 1, 0, 30, 50, 1, 500_000_000, 1, 604_000_000, ...REALISATIONS);
    expect(bytes.subarray(56, 64).toString('hex')).toBe('0065cd1d00000000');
    expect(await readBuildResult(readerOf(bytes), handshake(38))).toMatchObject({
      cpuUserMs: 500_000,
      cpuSystemMs: 604_000,
    });
    const without = wire(5, 'no idea why', 0, 0, 0, 0, 0, 0, 0);
    const result = await readBuildResult(readerOf(without), handshake(38));
    expect(result.status).toBe('output-rejected');
    expect(result).not.toHaveProperty('cpuUserMs');
  });

  test('with the feature outputs are paths', async () => {
    const bytes = wire(
      ...[0, '', 1, 0, 30, 50, 0, 0, 2],
      ...['bar', `/nix/store/${HASH}-bar`, 0, 'foo', `/nix/store/${HASH}-foo`, 0],
    );
    const result = await readBuildResult(readerOf(bytes), handshake(38, FEATURE_REALISATION_WITH_PATH));
    expect([...result.builtOutputs.keys()]).toEqual(['bar', 'foo']);
  });

  test('colours are taken out of messages', async () => {
    const bytes = wire(3, '\u001b[31;1merror:\u001b[0m builder failed', 0, 0, 0, 0, 0);
    expect((await readBuildResult(readerOf(bytes), handshake(34))).errorMsg).toBe('error: builder failed');
  });

  test.each([
    ['an unknown status', wire(15, '', 0, 0, 0, 0, 0)],
    ['an output without a name', wire(0, '', 0, 0, 0, 0, 1, 'sha256:00', '{}')],
    ['an output that is not JSON', wire(0, '', 0, 0, 0, 0, 1, `${ID}!out`, 'out')],
    ['an output outside the store', wire(0, '', 0, 0, 0, 0, 1, `${ID}!out`, '{"outPath":"../etc"}')],
  ])('%s is a protocol error', async (_, bytes) => {
    await expect(readBuildResult(readerOf(bytes), handshake(34))).rejects.toMatchObject({
      code: 'NIX_DAEMON_PROTOCOL',
    });
  });
});

describe('path infos', () => {
  const narHash = '15e3c560894cbb27085cf65b5a2ecb18488c999497f4531b6907a7581ce6d527';
  const signature = `fake-sig-1:${'A'.repeat(86)}==`;
  const path = `/nix/store/${HASH}-bar`;
  const other = '/nix/store/g1w7hyyyy1w7hy3qg1w7hy3qgqqqqy3q-foo';

  test('with everything', async () => {
    const bytes = wire(
      `${path}.drv`,
      narHash,
      2,
      other,
      path,
      23423,
      34878,
      0,
      1,
      signature,
      'fixed:r:sha256:00',
    );
    expect(await readPathInfo(readerOf(bytes), path)).toEqual({
      path,
      deriver: `${path}.drv`,
      narHash: Buffer.from(narHash, 'hex'),
      narSize: 34878,
      references: [path, other],
      registrationTime: 23423,
      ultimate: false,
      signatures: [signature],
      ca: 'fixed:r:sha256:00',
    });
  });

  test('with nothing', async () => {
    const info = await readPathInfo(readerOf(wire('', narHash, 0, 23423, 34878, 1, 0, '')), path);
    expect(info).toMatchObject({ references: [], signatures: [], ultimate: true });
    expect(info).not.toHaveProperty('deriver');
    expect(info).not.toHaveProperty('ca');
  });

  test.each([
    ['a hash that is none', wire('', 'abc', 0, 0, 0, 0, 0, '')],
    ['a deriver outside the store', wire('/etc/passwd', narHash, 0, 0, 0, 0, 0, '')],
    ['a reference outside the store', wire('', narHash, 1, 'x', 0, 0, 0, 0, '')],
    ['a flag that is neither', wire('', narHash, 0, 0, 0, 2, 0, '')],
  ])('%s is a protocol error', async (_, bytes) => {
    await expect(readPathInfo(readerOf(bytes), path)).rejects.toMatchObject({ code: 'NIX_DAEMON_PROTOCOL' });
  });
});

test('what is missing comes as three sets and two sizes', async () => {
  const path = `/nix/store/${HASH}-a`;
  expect(await readMissing(readerOf(wire(1, `${path}.drv`, 1, path, 0, 10, 20)))).toEqual({
    willBuild: [`${path}.drv`],
    willSubstitute: [path],
    unknown: [],
    downloadSize: 10,
    narSize: 20,
  });
});

test('what substituters say: deriver and sizes may be missing', async () => {
  const path = (name: string): string => `/nix/store/${HASH}-${name}`;
  const bytes = wire(2, path('a'), path('a.drv'), 1, path('b'), 100, 300, path('b'), '', 0, 0, 0);
  expect(await readSubstitutableInfos(readerOf(bytes))).toEqual([
    { path: path('a'), references: [path('b')], downloadBytes: 100, narBytes: 300 },
    { path: path('b'), references: [], downloadBytes: 0, narBytes: 0 },
  ]);
});
