import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostFacts } from './host-facts.ts';
import { parseFacts } from './host-facts.ts';
import type { InstallWish } from './install-step.ts';
import { planInstall, planUninstall } from './plan.ts';
import { installRefusal, uninstallRefusal } from './refusal.ts';
import { withoutTrust, withTrust } from './trust-block.ts';

const units = { systemd: '[Unit]\n', launchd: '<plist/>\n' };
const wish: InstallWish = { release: { kind: 'bundle', id: '1.0.0-abc' }, service: 'manager', units };
const means = { service: 'manager', sudoPassword: false } as const;

/** Debian with Nix, as one logs in for the first time. */
const fresh: HostFacts = {
  kernel: 'Linux',
  machine: 'x86_64',
  platform: { platform: 'linux', arch: 'x64' },
  nixos: false,
  musl: false,
  root: 'sudo',
  nixVersion: '2.34.8',
  nixBin: '/usr/bin',
  daemon: true,
  serviceManager: 'systemd',
  freeBytes: 10 * 1024 ** 3,
  current: undefined,
  versions: [],
  unit: undefined,
  active: false,
  userHome: undefined,
  stateDir: false,
  nixConf: { path: '/etc/nix/nix.conf', text: 'trusted-users = root\n', foreign: false },
  launcher: undefined,
  firewall: 'none',
  agent: undefined,
};

const mac: HostFacts = {
  ...fresh,
  kernel: 'Darwin',
  machine: 'arm64',
  platform: { platform: 'darwin', arch: 'arm64' },
  serviceManager: 'launchd',
};

/** What a machine is after all of a plan was done. */
const finished = (facts: HostFacts): HostFacts => ({
  ...facts,
  current: wish.release.id,
  versions: [wish.release.id],
  unit: facts.serviceManager === 'launchd' ? units.launchd : units.systemd,
  active: true,
  userHome: '/var/lib/mesh',
  stateDir: true,
  nixConf: { ...facts.nixConf, text: withTrust(facts.nixConf.text) },
  launcher: '/opt/mesh/current/bin/mesh',
  agent: { peerId: 'p', meshId: 'm', name: 'ruby' },
});

const doing = (facts: HostFacts, more: Partial<InstallWish> = {}) =>
  planInstall(facts, { ...wish, ...more })
    .filter(({ action }) => action !== undefined)
    .map(({ name }) => name);

const scripts = (steps: ReturnType<typeof planInstall>) =>
  new Map(steps.map(({ name, action }) => [name, action?.do === 'script' ? action.script : '']));

describe('the plan of an installation', () => {
  it('does all there is to do on a new machine, in order', () => {
    const all = ['copy', 'user', 'trust', 'activate', 'service', 'join', 'seen'];
    expect(doing(fresh)).toEqual(all);
    expect(doing(mac)).toEqual(all);
  });

  it('does nothing where all is done but look whether it is a member', () => {
    expect(doing(finished(fresh))).toEqual(['join', 'seen']);
    expect(doing(finished(mac))).toEqual(['join', 'seen']);
  });

  it('finishes what was broken off anywhere, and does nothing twice', () => {
    const done = finished(fresh);
    const parts = {
      copy: { versions: done.versions },
      user: { userHome: done.userHome, stateDir: true },
      trust: { nixConf: done.nixConf },
      activate: { current: done.current, launcher: done.launcher },
    };
    fc.assert(
      fc.property(fc.subarray(Object.keys(parts) as (keyof typeof parts)[]), (made) => {
        const facts: HostFacts = Object.assign({}, fresh, ...made.map((part) => parts[part]));
        const rest = doing(facts);
        for (const part of Object.keys(parts) as (keyof typeof parts)[])
          expect(rest.includes(part), part).toBe(!made.includes(part));
        expect(rest.slice(-3)).toEqual(['service', 'join', 'seen']);
      }),
    );
  });

  it('starts the agent anew where its version, its unit or what Nix allows it changed', () => {
    const done = finished(fresh);
    expect(doing({ ...done, current: '0.9.0-old', versions: ['0.9.0-old'] })).toEqual([
      'copy',
      'activate',
      'service',
      'join',
      'seen',
      'clean',
    ]);
    expect(doing({ ...done, unit: 'old' })).toEqual(['service', 'join', 'seen']);
    expect(doing({ ...done, nixConf: fresh.nixConf })).toEqual(['trust', 'service', 'join', 'seen']);
    expect(doing({ ...done, active: false })).toEqual(['service', 'join', 'seen']);
  });

  it('starts nothing where nothing is to be started', () => {
    expect(doing(fresh, { service: 'none' })).toEqual(['copy', 'user', 'trust', 'activate']);
  });

  it('takes a closure of the store where Nix packaged the mesh', () => {
    const release = { kind: 'store', id: '/nix/store/abc-mesh' } as const;
    expect(doing(fresh, { release })[0]).toBe('copy');
    const there = { ...finished(fresh), current: release.id, versions: [] };
    expect(doing(there, { release })).toEqual(['join', 'seen']);
  });

  it('of a Mac makes the user with dscl and the service with launchctl', () => {
    const made = scripts(planInstall(mac, wish));
    expect(made.get('user')).toMatch(/dscl \. -create \/Users\/mesh UniqueID/);
    expect(made.get('trust')).toContain('launchctl kickstart -k system/org.nixos.nix-daemon');
    expect(made.get('service')).toContain(
      'launchctl bootstrap system /Library/LaunchDaemons/org.mesh.agent.plist',
    );
    const taken = scripts(planUninstall(finished(mac), { keepState: false }));
    expect(taken.get('user')).toContain('dscl . -delete /Users/mesh');
    expect(taken.get('service')).toContain('launchctl bootout system/org.mesh.agent');
    for (const script of [...made.values(), ...taken.values()])
      expect(script).not.toMatch(/systemctl|useradd/);
  });

  it("leaves somebody else's `mesh` on the PATH alone", () => {
    const other = { ...fresh, launcher: 'other' };
    expect(scripts(planInstall(other, wish)).get('activate')).not.toContain('/usr/local/bin');
    expect(scripts(planUninstall(other, { keepState: false })).get('files')).not.toContain('/usr/local/bin');
    expect(scripts(planInstall(fresh, wish)).get('activate')).toContain('/usr/local/bin/mesh');
  });
});

describe('taking it away', () => {
  it('of a machine that never had it does nothing to speak of', () => {
    const does = planUninstall(fresh, { keepState: false }).filter(({ action }) => action !== undefined);
    expect(does.map(({ name }) => name)).toEqual(['files']);
  });

  it('takes leave of the mesh first, unless the state is kept', () => {
    const done = finished(fresh);
    const steps = planUninstall(done, { keepState: false });
    expect(steps[0]).toMatchObject({ name: 'leave', action: { do: 'leave', peerId: 'p' } });
    const kept = planUninstall(done, { keepState: true });
    expect(kept.find(({ name }) => name === 'leave')?.action).toBeUndefined();
    expect(kept.find(({ name }) => name === 'state')?.action).toBeUndefined();
  });
});

describe('a machine on which nothing can be installed is refused in a sentence, before anything is changed', () => {
  it.each<[string, Partial<HostFacts>, RegExp]>([
    ['another system', { platform: undefined, kernel: 'FreeBSD', machine: 'amd64' }, /FreeBSD on amd64/],
    ['musl', { musl: true }, /musl/],
    ['no Nix', { nixVersion: undefined }, /no Nix; install it/],
    ['an old Nix', { nixVersion: '2.3.16' }, /2\.3\.16 is too old/],
    ['no daemon', { daemon: false }, /no nix-daemon/],
    ['no sudo', { root: 'none' }, /no sudo/],
    ['sudo with a password', { root: 'sudo-password' }, /--ask-sudo-password/],
    ['a full disk', { freeBytes: 1024 ** 2 }, /1 MiB free/],
    ['a person called mesh', { userHome: '/home/mesh' }, /user mesh already/],
    ['a managed nix.conf', { nixConf: { path: '/etc/nix/nix.conf', text: '', foreign: true } }, /link/],
    ['no service manager', { serviceManager: 'none' }, /--supervise/],
  ])('%s', (_, facts, sentence) => {
    expect(installRefusal({ ...fresh, ...facts }, means)).toMatch(sentence);
  });

  it('and one that is fine is not', () => {
    for (const facts of [fresh, mac, finished(fresh), { ...fresh, nixVersion: '2.8.0' }])
      expect(installRefusal(facts, means)).toBeUndefined();
    expect(
      installRefusal({ ...fresh, root: 'sudo-password' }, { ...means, sudoPassword: true }),
    ).toBeUndefined();
    expect(uninstallRefusal({ ...fresh, nixos: true }, means)).toMatch(/services\.mesh/);
  });
});

describe('nix.conf', () => {
  const line = fc.constantFrom(
    'trusted-users = root',
    '# a comment',
    '',
    'sandbox = true',
    '!include other.conf',
  );
  const conf = fc
    .tuple(fc.array(line), fc.boolean())
    .map(([lines, end]) => lines.join('\n') + (end ? '\n' : ''));

  it('gets one block at its end, however often, and is as it was without it', () => {
    fc.assert(
      fc.property(conf, (text) => {
        const once = withTrust(text);
        expect(withTrust(once)).toBe(once);
        expect(once.match(/^extra-trusted-users = mesh$/gm)).toHaveLength(1);
        // Where the last line had no end it has one now.
        expect([text, `${text}\n`]).toContain(withoutTrust(once));
      }),
    );
  });

  it('keeps what others wrote behind the block', () => {
    expect(withoutTrust(`${withTrust('a = 1\n')}b = 2\n`)).toBe('a = 1\nb = 2\n');
  });
});

describe('what a machine says of itself', () => {
  it('is read where it is whole, and refused where a login shell spoilt it', () => {
    const text =
      'probe=1\nkernel=Linux\nmachine=aarch64\nroot=is-root\ncurrent=versions/1.0.0-abc\nversion=1.0.0-abc\nend=1\n';
    expect(parseFacts(`Welcome!\n${text}`)).toMatchObject({
      platform: { platform: 'linux', arch: 'arm64' },
      current: '1.0.0-abc',
      versions: ['1.0.0-abc'],
      nixVersion: undefined,
      serviceManager: 'none',
    });
    expect(() => parseFacts(text.replace('end=1\n', ''))).toThrow(/could not be found out/);
  });

  it('never fails in another way, whatever it says', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('kernel', 'agent', 'unit', 'freeKiB', 'x'), fc.string())),
        (said) => {
          const lines = said.map(([key, value]) => `${key}=${value}`);
          expect(() => parseFacts(['probe=1', ...lines, 'end=1'].join('\n'))).not.toThrow();
        },
      ),
    );
  });
});
