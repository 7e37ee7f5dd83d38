import { describe, expect, it } from 'vitest';
import { resolveTarget, type SshSurroundings } from './resolve-target.ts';
import { parseSshName } from './ssh-name.ts';

function surroundings(files: Record<string, string>, env: Record<string, string> = {}): SshSurroundings {
  return {
    home: '/home/ryan',
    user: 'ryan',
    env,
    files: {
      read: (path) => files[path],
      match: (pattern) =>
        Object.keys(files).filter((path) => new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(path)),
    },
  };
}

const withConfig = (text: string, env?: Record<string, string>): SshSurroundings =>
  surroundings({ '/etc/ssh/ssh_config': text }, env);

describe('where a name leads', () => {
  it('is the name itself where no ssh_config says otherwise', () => {
    expect(resolveTarget('builder', {}, surroundings({}))).toEqual({
      name: 'builder',
      host: 'builder',
      port: 22,
      user: 'ryan',
      identityFiles: ['/home/ryan/.ssh/id_rsa', '/home/ryan/.ssh/id_ecdsa', '/home/ryan/.ssh/id_ed25519'],
      knownHostsFiles: [
        '/home/ryan/.ssh/known_hosts',
        '/home/ryan/.ssh/known_hosts2',
        '/etc/ssh/ssh_known_hosts',
        '/etc/ssh/ssh_known_hosts2',
      ],
    });
  });

  it('is where an alias says', () => {
    const config = withConfig(
      [
        'Host aquamarine',
        '  hostname 192.168.5.101',
        '  Port 2222',
        '  User builder',
        '  IdentityFile ~/.ssh/ai-idols',
        '  IdentityFile %d/.ssh/%h-%r',
        '  UserKnownHostsFile /var/lib/hosts ~/hosts',
        'Host *',
        '  User nobody',
        '  Port 7',
      ].join('\n'),
    );
    expect(resolveTarget('aquamarine', {}, config)).toMatchObject({
      name: 'aquamarine',
      host: '192.168.5.101',
      port: 2222,
      user: 'builder',
      identityFiles: ['/home/ryan/.ssh/ai-idols', '/home/ryan/.ssh/192.168.5.101-builder'],
      knownHostsFiles: [
        '/var/lib/hosts',
        '/home/ryan/hosts',
        '/etc/ssh/ssh_known_hosts',
        '/etc/ssh/ssh_known_hosts2',
      ],
    });
  });

  it('heeds a user and a port in the name, and a key given for it, before ssh_config', () => {
    const config = withConfig('Host ruby\n  User other\n  Port 7\n  IdentityFile /etc/other');
    expect(resolveTarget('ryan@ruby:2200', { identityFile: '~/key' }, config)).toMatchObject({
      user: 'ryan',
      port: 2200,
      identityFiles: ['/home/ryan/key', '/etc/other'],
    });
  });

  it('takes a user’s file before the system’s', () => {
    const config = surroundings({
      '/home/ryan/.ssh/config': 'Host ruby\n  HostName 10.0.0.1',
      '/etc/ssh/ssh_config': 'Host ruby\n  HostName 10.0.0.2\n  Port 23',
    });
    expect(resolveTarget('ruby', {}, config)).toMatchObject({ host: '10.0.0.1', port: 23 });
  });

  it('reads includes in their places; what follows one is no part of its last host', () => {
    const config = surroundings({
      '/home/ryan/.ssh/config': 'Include conf.d/*\nUser everywhere',
      '/home/ryan/.ssh/conf.d/idols': 'Host ruby\n  HostName 10.0.0.1\nHost kana\n  HostName 10.0.0.2',
    });
    expect(resolveTarget('ruby', {}, config)).toMatchObject({ host: '10.0.0.1', user: 'everywhere' });
    expect(resolveTarget('aquamarine', {}, config)).toMatchObject({ host: 'aquamarine', user: 'everywhere' });
  });

  it('refuses a file that includes itself', () => {
    const config = surroundings({ '/home/ryan/.ssh/config': 'Include config' });
    expect(() => resolveTarget('ruby', {}, config)).toThrow(
      expect.objectContaining({ code: 'SSH_BAD_CONFIG' }),
    );
  });

  it('goes through other machines', () => {
    const config = withConfig('Host ruby\n  ProxyJump gate.one,me@gate.two:2222\nHost gate.*\n  User jumper');
    expect(resolveTarget('ruby', {}, config).jump).toMatchObject({
      host: 'gate.two',
      port: 2222,
      user: 'me',
      jump: { host: 'gate.one', user: 'jumper' },
    });
    const loop = withConfig('Host *\n  ProxyJump gate');
    expect(() => resolveTarget('ruby', {}, loop)).toThrow(
      expect.objectContaining({ code: 'SSH_BAD_CONFIG' }),
    );
  });

  it('finds the agent', () => {
    const env = { SSH_AUTH_SOCK: '/run/agent', OTHER: '/run/other' };
    const agentBy = (line: string): string | undefined =>
      resolveTarget('ruby', {}, withConfig(`Host ruby\n  ${line}`, env)).agentSocket;
    expect(agentBy('Port 22')).toBe('/run/agent');
    expect(agentBy('IdentityAgent none')).toBeUndefined();
    expect(agentBy('IdentityAgent ~/agent.sock')).toBe('/home/ryan/agent.sock');
    expect(agentBy('IdentityAgent $OTHER')).toBe('/run/other');
  });

  it('takes new hosts only where ssh_config says so', () => {
    const by = (word: string) =>
      resolveTarget('ruby', {}, withConfig(`StrictHostKeyChecking ${word}`)).acceptNewHosts;
    expect([by('accept-new'), by('no'), by('ask'), by('yes')]).toEqual([true, true, undefined, undefined]);
  });

  it('runs nothing that a configuration asks for', () => {
    const config = withConfig('Match exec "touch /tmp/mesh-was-here"\n  HostName evil\nHost *\n  Port 23');
    expect(resolveTarget('ruby', {}, config)).toMatchObject({ host: 'ruby', port: 23 });
    expect(() => resolveTarget('ruby', {}, withConfig('ProxyCommand nc %h %p'))).toThrow(/ProxyCommand/);
  });
});

describe('a name', () => {
  it.each([
    ['ruby', { host: 'ruby' }],
    ['ryan@192.168.5.101', { user: 'ryan', host: '192.168.5.101' }],
    ['ssh://ryan@ruby:2222', { user: 'ryan', host: 'ruby', port: 2222 }],
    ['[fe80::1%eth0]:22', { host: 'fe80::1%eth0', port: 22 }],
    ['fd00::7', { host: 'fd00::7' }],
    ['::1', { host: '::1' }],
  ])('%s', (text, name) => expect(parseSshName(text)).toEqual(name));

  it.each(['', '-oProxyCommand=x', 'a b', 'ruby:0', 'ruby:99999', 'ruby/x', '@ruby', 'a@b@c'])(
    '%j is none',
    (text) => expect(() => parseSshName(text)).toThrow(expect.objectContaining({ code: 'SSH_BAD_TARGET' })),
  );
});
