import { describe, expect, test } from 'vitest';
import { looseFamily, packageFamily } from './family.ts';

describe('packageFamily: versions differ, the package is the same', () => {
  test.each([
    ['gcc-14.2.0', 'gcc-14.3.0'],
    ['gcc-14.2.0-lib', 'gcc-13.1-lib'],
    ['linux-6.12-modules', 'linux-6.12.17-modules'],
    ['python3.12-numpy-2.1', 'python3.13-numpy-2.2'],
    ['perl5.40.0-URI-5.28', 'perl5.38.2-URI-5.29'],
    ['ungoogled-chromium-140.0.7339.207-1', 'ungoogled-chromium-141.0.1-2'],
    ['hyprland-unstable-2024-05-01', 'hyprland-unstable-2025-01-31'],
    ['zig-0.14.0-1197.a023b9b', 'zig-0.15.0-3.d279fc5'],
    ['foo-1.0-rc1', 'foo-1.0'],
  ])('%s and %s', (one, other) => {
    expect(packageFamily(one)).toBe(packageFamily(other));
  });
});

describe('packageFamily: what is built is not the same', () => {
  test.each([
    ['gcc-14.2.0', 'gcc-14.2.0-lib'],
    ['linux-6.12', 'linux-6.12-modules'],
    ['linux-6.12', 'linux-headers-6.12'],
    ['python3.12-numpy-2.1', 'python3.12-scipy-2.1'],
    ['n12-glibc-2.41', 'n13-glibc-2.41'],
    ['source', 'vendor'],
    ['bootstrap-stage1-gcc-wrapper', 'bootstrap-stage2-gcc-wrapper'],
    ['7zip-25.01', 'zip-25.01'],
  ])('%s and %s', (one, other) => {
    expect(packageFamily(one)).not.toBe(packageFamily(other));
  });

  test('a name without a version is its own family', () => {
    expect(packageFamily('module-import-compiled')).toBe('module-import-compiled');
    expect(packageFamily('')).toBe('');
  });
});

describe('looseFamily', () => {
  test('leaves out the language and the stage, and nothing else', () => {
    expect(looseFamily('python-protobuf')).toBe('protobuf');
    expect(looseFamily('cross-gcc')).toBe('gcc');
    expect(looseFamily('python')).toBe('python');
    expect(looseFamily('linux-modules')).toBe('linux-modules');
  });
});
