import { describe, expect, it } from 'vitest';
import { drv } from '../testing/recorded-job.ts';
import { type InstallableContext, parseInstallables } from './installable.ts';

const here: InstallableContext = { file: undefined, storeDir: '/nix/store', hasFlake: false };
const withFile = { ...here, file: '/src/default.nix' };
const usage = expect.objectContaining({ code: 'MESH_USAGE', exitCode: 2 });

describe('installables', () => {
  it.each([
    ['.#hello', { type: 'flake', reference: '.#hello', outputs: 'default' }],
    ['nixpkgs#curl^dev,man', { type: 'flake', reference: 'nixpkgs#curl', outputs: ['dev', 'man'] }],
    ['path:/src', { type: 'flake', reference: 'path:/src', outputs: 'default' }],
    ['/nix/store/abc-source#x', { type: 'flake', reference: '/nix/store/abc-source#x', outputs: 'default' }],
    [drv('a'), { type: 'derivation', drvPath: drv('a'), outputs: 'all' }],
    [`${drv('a')}^*`, { type: 'derivation', drvPath: drv('a'), outputs: 'all' }],
    [`${drv('a')}^out,dev`, { type: 'derivation', drvPath: drv('a'), outputs: ['out', 'dev'] }],
  ])('%s', (arg, expected) => {
    expect(parseInstallables([arg], here)).toEqual([expected]);
  });

  it('are attributes with -f, and .drv paths even then', () => {
    expect(parseInstallables(['a.b', 'c^dev', drv('x')], withFile)).toEqual([
      { type: 'attribute', attribute: 'a.b', outputs: 'default' },
      { type: 'attribute', attribute: 'c', outputs: ['dev'] },
      { type: 'derivation', drvPath: drv('x'), outputs: 'all' },
    ]);
  });

  it('default to the whole file, else to the flake of the directory', () => {
    expect(parseInstallables([], withFile)).toMatchObject([{ type: 'attribute', attribute: undefined }]);
    expect(parseInstallables([], { ...here, hasFlake: true })).toMatchObject([
      { type: 'flake', reference: '.' },
    ]);
    expect(() => parseInstallables([], here)).toThrow(usage);
  });

  it.each(['', '/nix/store/abc-hello-2.12', `${drv('a')}^`, '.#a^b c'])('cannot be %j', (arg) => {
    expect(() => parseInstallables([arg], here)).toThrow(usage);
  });
});
