import { describe, expect, test } from 'vitest';
import { askedCommand } from './nix-command.ts';

describe('what a front door runs', () => {
  test.each([
    'nix-daemon --stdio',
    '/nix/var/nix/profiles/default/bin/nix-daemon --stdio',
    "'nix-daemon' '--stdio'",
    'nix daemon --stdio',
    'nix-daemon --stdio ',
  ])('%s is the worker protocol', (command) => expect(askedCommand(command)).toEqual({ type: 'daemon' }));

  test.each([
    'nix-daemon --stdio; id',
    'nix-daemon --stdio --store /tmp',
    'nix-daemon',
    '$(id)/nix-daemon --stdio',
    'nix-daemon --stdio\nid',
    'sh -c nix-daemon --stdio',
    '',
  ])('%j is refused', (command) =>
    expect(askedCommand(command)).toMatchObject({
      type: 'refused',
      reason: expect.stringContaining('nothing else'),
    }),
  );

  test('the legacy protocol is refused with what to write instead', () => {
    const asked = askedCommand('nix-store --serve --write');
    expect(asked).toMatchObject({ type: 'refused', reason: expect.stringContaining('ssh-ng://') });
  });
});
