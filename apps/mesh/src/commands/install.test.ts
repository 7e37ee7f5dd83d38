import { describe, expect, it } from 'vitest';
import { install, summaryText } from './install.ts';

const flags = { roles: 'build', service: true, bundle: [] };

describe('mesh install', () => {
  it('ends with a row for each machine, and what owners of NixOS have to add', () => {
    const text = summaryText([
      { host: 'root@ruby', result: 'installed', member: 'ruby', seconds: 8.31 },
      { host: 'kana', result: 'failed', error: 'it has no Nix', seconds: 0.62 },
      { host: 'aquamarine', result: 'nixos', configuration: 'services.mesh.enable = true;', seconds: 1 },
    ]);
    expect(text.split('\n')).toEqual([
      'HOST        RESULT     MEMBER   TIME',
      'root@ruby   installed  ruby    8.3 s',
      'kana        failed     -       0.6 s  it has no Nix',
      'aquamarine  nixos      -       1.0 s',
      '',
      'Add to the configuration of aquamarine:',
      'services.mesh.enable = true;',
    ]);
  });

  it.each([
    ['a machine named twice', ['kana', 'kana'], {}, /named twice/],
    ['one host key for several', ['kana', 'ruby'], { hostKey: 'SHA256:x' }, /--host-key is of one machine/],
    ['two ways to start it', ['kana'], { service: false, supervise: true }, /exclude each other/],
    ['state kept of nothing', ['kana'], { keepState: true }, /goes with --uninstall/],
    ['a role that does not exist', ['kana'], { roles: 'king' }, /the roles are/],
    ['a name that names nothing', ['-oProxyCommand=x'], {}, /names no machine/],
  ])('%s is refused before anything is done', async (_, hosts, more, sentence) => {
    await expect(install(hosts, { ...flags, ...more })).rejects.toThrow(sentence);
  });
});
