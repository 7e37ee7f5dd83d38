import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBuilderUri } from './builder-uri.ts';
import { type BuilderMachine, type Machines, parseMachines } from './machines-file.ts';

const KEY = Buffer.from('\0\0\0\x0bssh-ed25519 and so on', 'latin1').toString('base64');

function parse(text: string, files: Record<string, string> = {}): Machines {
  return parseMachines(text, (path) => files[path]);
}

function machines(text: string, files?: Record<string, string>): readonly BuilderMachine[] {
  const { machines: found, troubles } = parse(text, files);
  expect(troubles).toEqual([]);
  return found;
}

const names = (text: string, files?: Record<string, string>): string[] =>
  machines(text, files).map(({ uri }) => uri.host);

describe('a machine', () => {
  it('needs an address alone', () => {
    const expected = {
      systems: [],
      maxJobs: 1,
      speedFactor: 1,
      supportedFeatures: [],
      mandatoryFeatures: [],
    };
    for (const line of ['ruby', 'ruby -', 'ruby - - - - - - -', '\truby  \t-  '])
      expect(machines(line), line).toMatchObject([{ uri: { host: 'ruby' }, ...expected }]);
  });

  it('has eight fields', () => {
    expect(
      machines(
        `ssh-ng://ryan@ruby x86_64-linux,aarch64-linux /home/ryan/.ssh/ai-idols 3 1.5 kvm,benchmark big-parallel ${KEY}`,
      ),
    ).toEqual([
      {
        uri: { text: 'ssh-ng://ryan@ruby', host: 'ruby', user: 'ryan' },
        systems: ['x86_64-linux', 'aarch64-linux'],
        identityFile: '/home/ryan/.ssh/ai-idols',
        maxJobs: 3,
        speedFactor: 1.5,
        supportedFeatures: ['kvm', 'benchmark'],
        mandatoryFeatures: ['big-parallel'],
        hostKey: KEY,
        place: 'builders:1',
      },
    ]);
  });

  it('may have no slots, and a speed of nought is an ordinary one', () => {
    expect(machines('ruby - - 0 0')).toMatchObject([{ maxJobs: 0, speedFactor: 1 }]);
  });
});

describe('a list of machines', () => {
  it('is empty where nothing is said', () => {
    for (const text of ['', ' \n\t\n', '# nobody', ';;']) expect(machines(text)).toEqual([]);
  });

  it('is separated by lines and semicolons', () => {
    expect(names('aquamarine\nruby;kana - - 2\n\n ; mem ')).toEqual(['aquamarine', 'ruby', 'kana', 'mem']);
  });

  it('leaves out comments, semicolons in them too', () => {
    expect(names('# all of them; here\nruby # and not; kana\n  # nobody\nkana')).toEqual(['ruby', 'kana']);
  });

  it('takes in files, which may take in others; one that is not there has no machines', () => {
    const files = { '/etc/nix/machines': 'ruby\n@/etc/more\n@/etc/absent', '/etc/more': '# more\nkana' };
    expect(names('@/etc/nix/machines; aquamarine', files)).toEqual(['ruby', 'kana', 'aquamarine']);
  });

  it('names the file and the line of what is wrong, and has the rest', () => {
    const files = { '/etc/nix/machines': 'ruby\n\nkana - - three\naquamarine' };
    expect(parse('@/etc/nix/machines', files)).toMatchObject({
      machines: [{ uri: { host: 'ruby' } }, { uri: { host: 'aquamarine' }, place: '/etc/nix/machines:4' }],
      troubles: [{ place: '/etc/nix/machines:3', message: expect.stringContaining('"three"') }],
    });
  });

  it('refuses a file that includes itself, and has the rest', () => {
    const { machines: found, troubles } = parse('@/a', { '/a': 'ruby\n@/b', '/b': '@/a\nkana' });
    expect(found.map(({ uri }) => uri.host)).toEqual(['ruby', 'kana']);
    expect(troubles).toMatchObject([{ place: '/b:1' }]);
  });

  it('tells of a file that cannot be read', () => {
    const { troubles } = parseMachines('@/a\nruby', () => {
      throw new Error('EACCES');
    });
    expect(troubles).toMatchObject([
      { place: 'builders:1', message: expect.stringContaining('/a cannot be read') },
    ]);
  });

  it.each([
    ['ruby - - -1', 'fourth field'],
    ['ruby - - 1.5', 'fourth field'],
    ['ruby - - 1 -2', 'fifth field'],
    ['ruby - - 1 fast', 'fifth field'],
    ['ruby - - 1 1 - - not-a-key', 'no public host key'],
    ['ruby a - 1 1 b c - d', '9 fields'],
    ['ssh://', 'no address'],
    ['/mnt/store - - 1', 'not reached by SSH'],
    ['unix:///run/nix.sock', 'not reached by SSH'],
    ['daemon', 'not reached by SSH'],
    ['auto?root=/x', 'not reached by SSH'],
    ['ssh-ng://-oProxyCommand=x', 'no address'],
  ])('says what is wrong with %j', (line, why) => {
    expect(parse(`${line}\nkana`)).toMatchObject({
      machines: [{ uri: { host: 'kana' } }],
      troubles: [{ place: 'builders:1', message: expect.stringContaining(why) }],
    });
  });

  it('never fails, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { machines: found, troubles } = parseMachines(text, () => text);
        return found.every(({ uri }) => uri.host !== '') && troubles.every(({ place }) => place !== '');
      }),
    );
  });
});

describe('an address', () => {
  it.each([
    ['ruby', { text: 'ssh-ng://ruby', host: 'ruby' }],
    ['ssh://ruby', { text: 'ssh-ng://ruby', host: 'ruby' }],
    ['ryan@ruby', { text: 'ssh-ng://ryan@ruby', host: 'ruby', user: 'ryan' }],
    ['ssh-ng://ruby:2222', { text: 'ssh-ng://ruby:2222', host: 'ruby', port: 2222 }],
    ['ssh-ng://[fd00::7]:22', { text: 'ssh-ng://[fd00::7]:22', host: 'fd00::7', port: 22 }],
    ['ssh-ng://ryan@[fd00::7]', { text: 'ssh-ng://ryan@[fd00::7]', host: 'fd00::7', user: 'ryan' }],
    [
      'ssh-ng://ruby?ssh-key=/k%20ey&compress=true&remote-program=nix%20daemon&remote-store=local',
      {
        text: 'ssh-ng://ruby',
        host: 'ruby',
        identityFile: '/k ey',
        remoteProgram: 'nix daemon',
        remoteStore: 'local',
      },
    ],
    [
      `ssh://ruby?base64-ssh-public-host-key=${encodeURIComponent(KEY)}`,
      { text: 'ssh-ng://ruby', host: 'ruby', hostKey: KEY },
    ],
  ])('%s', (uri, expected) => expect(parseBuilderUri(uri)).toEqual(expected));
});
