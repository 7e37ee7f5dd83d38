import { expect, test } from 'vitest';
import { checkedVersion, systemInfoOf } from './system-info.ts';

test.each([
  ['nix (Nix) 2.34.8', '2.34.8'],
  ['nix (Nix) 2.8.0', '2.8.0'],
  ['nix (Lix, like Nix) 2.94.0', '2.94.0'],
  ['nix (Nix) 3.0pre20260101_abc', '3.0pre20260101_abc'],
])('%s is new enough', (line, version) => {
  expect(checkedVersion(line)).toBe(version);
});

test('older than 2.8 is too old, and says so', () => {
  expect(() => checkedVersion('nix (Nix) 2.3.16')).toThrow(
    expect.objectContaining({ code: 'NIX_TOO_OLD', message: expect.stringContaining('2.8') }),
  );
});

test('a line without a version is an error', () => {
  expect(() => checkedVersion('segmentation fault')).toThrow(
    expect.objectContaining({ code: 'NIX_COMMAND_FAILED' }),
  );
});

test('settings are picked out of what Nix shows', () => {
  const config = {
    system: { value: 'x86_64-linux' },
    'extra-platforms': { value: ['x86_64-v1-linux', 'i686-linux'] },
    'system-features': { value: ['kvm', 'benchmark'] },
    'max-jobs': { value: 2 },
    cores: { value: 0 },
    'max-silent-time': { value: 600 },
    sandbox: { value: true },
    'trusted-users': { value: ['root'] },
    'trusted-public-keys': { value: ['cache-1:AAAA'] },
    builders: { value: '@/etc/nix/machines' },
    'builders-use-substitutes': { value: true },
  };
  expect(systemInfoOf('2.26.3', config)).toEqual({
    version: '2.26.3',
    system: 'x86_64-linux',
    extraPlatforms: ['i686-linux', 'x86_64-v1-linux'],
    systemFeatures: ['benchmark', 'kvm'],
    maxJobs: 2,
    cores: 0,
    maxSilentTimeSeconds: 600,
    timeoutSeconds: 0,
    sandbox: true,
    trustedUsers: ['root'],
    allowedUsers: [],
    substituters: [],
    trustedPublicKeys: ['cache-1:AAAA'],
    minFreeBytes: 0,
    builders: '@/etc/nix/machines',
    buildersUseSubstitutes: true,
  });
});

test('experimental features that builds may ask for are system features', () => {
  const config = {
    system: { value: 'x86_64-linux' },
    'system-features': { value: ['benchmark'] },
    'experimental-features': { value: ['flakes', 'ca-derivations', 'nix-command'] },
  };
  expect(systemInfoOf('2.26.3', config).systemFeatures).toEqual(['benchmark', 'ca-derivations']);
});

test('experimental features are numbers in what Nix 2.8 shows', () => {
  const config = {
    system: { value: 'x86_64-linux' },
    'system-features': { value: ['benchmark'] },
    // As with `experimental-features = nix-command flakes ca-derivations`.
    'experimental-features': { value: [0, 2, 3] },
  };
  expect(systemInfoOf('2.8.0', config).systemFeatures).toEqual(['benchmark', 'ca-derivations']);
});

test('a configuration without a system is refused', () => {
  expect(() => systemInfoOf('2.26.3', {})).toThrow(expect.objectContaining({ code: 'NIX_COMMAND_FAILED' }));
});
