import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { examine } from './examine.ts';
import type { AgentFacts, DoctorFacts } from './facts.ts';

type Clocks = AgentFacts['doctor']['clocks'];

const member = (name: string, more: object = {}): AgentFacts['peers']['members'][number] => ({
  name,
  peerId: name,
  self: false,
  connected: true,
  roles: ['build'],
  addresses: [],
  systems: [],
  systemFeatures: [],
  cores: 4,
  slots: 2,
  memoryBytes: 1,
  load: null,
  nixVersion: '2.34.8',
  agentVersion: '1.0.0',
  lastSeen: null,
  ...more,
});

const agent = (
  doctor: Partial<AgentFacts['doctor']> = {},
  members = [member('ruby')],
): DoctorFacts['agent'] => ({
  ok: true,
  value: {
    status: { name: 'kana', peerId: 'k', meshId: 'k', version: '1.0.0', nixVersion: '2.34.8', addresses: [] },
    peers: { meshId: 'k', members: [member('kana', { self: true }), ...members], strangers: [] },
    cache: {
      url: 'http://127.0.0.1:4749',
      off: null,
      publicKey: '',
      configured: { substituter: true, trusted: true },
      narinfos: { known: 0, found: 0, absent: 0 },
      given: { nars: 0, bytes: 0 },
      fetched: { paths: 0, bytes: 0 },
      served: { bytes: 0 },
      kept: { paths: 0, bytes: 0, maxBytes: 0 },
      badPeers: 0,
    },
    doctor: { trust: 'trusted', mdns: true, clocks: [{ name: 'ruby', aheadMs: -40 }], ...doctor },
  },
});

const well: DoctorFacts = {
  platform: 'linux',
  commandVersion: '1.0.0',
  uid: 0,
  nix: { ok: true, value: { version: '2.34.8', sandbox: true, maxJobs: 4, minFreeBytes: 0 } },
  daemon: { ok: true, value: { trust: 'trusted' } },
  agent: agent(),
  port: { address: '10.0.0.1 TCP 4747', open: true },
  nixSocket: 'answers',
  config: { ok: true, value: true },
  stateDir: { path: '/var/lib/mesh', mode: 0o700, uid: 0, mayLook: true },
  storeFreeBytes: 100 * 1024 ** 3,
  stateFreeBytes: 100 * 1024 ** 3,
  memoryAvailableBytes: 8 * 1024 ** 3,
  inotify: { watches: 65_536, instances: 128 },
  multicast: [
    { interface: 'eth0', address: '10.0.0.1', heardItself: true, answers: ['10.0.0.1', '10.0.0.2'] },
  ],
  absent: [],
};

/** What is said of one thing, with these facts in place of those of a machine that is well. */
const saidOf = (check: string, facts: Partial<DoctorFacts>) =>
  examine({ ...well, ...facts }).filter((finding) => finding.check === check);

const level = (check: string, facts: Partial<DoctorFacts>) =>
  saidOf(check, facts).map((finding) => finding.level);

describe('an examination', () => {
  it('finds nothing on a machine that is well', () => {
    expect(examine(well).filter((finding) => finding.level !== 'ok')).toEqual([]);
  });

  it('says how to mend what it finds, and only that', () => {
    const bytes = fc.option(fc.nat({ max: 2 ** 40 }), { nil: undefined });
    const unknown = <T>(value: T) =>
      fc.constantFrom<T | { ok: false; error: string }>(value, { ok: false, error: 'No.' });
    fc.assert(
      fc.property(
        fc.record({
          nix: unknown(well.nix),
          daemon: unknown(well.daemon),
          agent: unknown(agent({ trust: 'untrusted', clocks: [] })),
          storeFreeBytes: bytes,
          stateFreeBytes: bytes,
          memoryAvailableBytes: bytes,
          nixSocket: fc.constantFrom(
            'answers' as const,
            'absent' as const,
            'refused' as const,
            'unknown' as const,
          ),
          multicast: fc.constantFrom(undefined, [], well.multicast),
        }),
        (facts) => {
          for (const finding of examine({ ...well, ...(facts as Partial<DoctorFacts>) })) {
            const isTrouble = finding.level === 'broken' || finding.level === 'warning';
            expect(finding.mend === undefined, finding.finding).toBe(!isTrouble);
            expect(finding.finding).not.toMatch(/\.$|undefined|NaN/);
          }
        },
      ),
    );
  });

  it('a Nix that is missing, a daemon that is silent', () => {
    expect(level('nix', { nix: { ok: false, error: 'Nix is not installed.' } })).toEqual(['broken']);
    expect(level('daemon', { daemon: { ok: false, error: 'Nobody answers.' } })).toEqual(['broken']);
  });

  it("trust is the agent's user's, and only where no agent runs the asker's", () => {
    const untrusted = { ok: true, value: { trust: 'untrusted' } } as const;
    expect(level('trust', { daemon: untrusted })).toEqual(['ok']);
    expect(level('trust', { agent: agent({ trust: 'untrusted' }) })).toEqual(['broken']);
    expect(level('trust', { agent: { ok: false, error: 'No agent.' }, daemon: untrusted })).toEqual([
      'warning',
    ]);
  });

  it('a sandbox that is off, except where it always is', () => {
    const nix = {
      ok: true,
      value: { version: '2.34.8', sandbox: false, maxJobs: 4, minFreeBytes: 0 },
    } as const;
    expect(level('sandbox', { nix })).toEqual(['warning']);
    expect(level('sandbox', { nix, platform: 'darwin' })).toEqual(['ok']);
  });

  it.each([
    ['full', 10 * 1024 ** 2, 'broken'],
    ['nearly full', 2 * 1024 ** 3, 'warning'],
    ['roomy', 6 * 1024 ** 3, 'ok'],
  ])('a disk that is %s', (_, storeFreeBytes, expected) => {
    expect(level('disk', { storeFreeBytes })).toEqual([expected]);
  });

  it('a folder with a secret key that others may read; to pass through is no harm', () => {
    const stateDir = { path: '/s', uid: 0, mayLook: true };
    expect(level('state', { stateDir: { ...stateDir, mode: 0o755 } })).toEqual(['broken']);
    expect(level('state', { stateDir: { ...stateDir, mode: 0o711 } })).toEqual(['ok']);
    expect(level('state', { stateDir: { ...stateDir, mayLook: false } })).toEqual(['skipped']);
  });

  it('multicast: not sent, not heard, not heard by the agent', () => {
    const link = { interface: 'eth0', address: '10.0.0.1', heardItself: true, answers: ['10.0.0.1'] };
    const said = (more: object) => saidOf('multicast', { multicast: [{ ...link, ...more }] })[0]!;
    expect(said({})).toMatchObject({ level: 'ok' });
    expect(said({ error: 'ENODEV' })).toMatchObject({
      level: 'broken',
      finding: expect.stringContaining('ENODEV'),
    });
    expect(said({ heardItself: false })).toMatchObject({
      level: 'broken',
      mend: expect.stringContaining('UDP 5353'),
    });
    expect(said({ answers: ['10.0.0.2'] })).toMatchObject({
      level: 'broken',
      finding: expect.stringContaining('agent'),
    });
  });

  it('one clock that is off is named; where most are off, it is the own one', () => {
    const clocks = (...ahead: number[]): Partial<DoctorFacts> => ({
      agent: agent({ clocks: ahead.map((aheadMs, i): Clocks[number] => ({ name: `m${i}`, aheadMs })) }),
    });
    expect(level('clock', clocks(0, 900, -900))).toEqual(['ok']);
    expect(saidOf('clock', clocks(0, 60_000, 0))).toMatchObject([
      { level: 'warning', finding: 'clocks differ: m1 60 s ahead' },
    ]);
    expect(saidOf('clock', clocks(60_000, 61_000, 0))).toMatchObject([
      { level: 'broken', finding: "the clock of this machine is 61 s behind most others'" },
    ]);
    expect(level('clock', clocks())).toEqual(['skipped']);
  });

  it('members that are away: off, without an agent, or somebody else by now', () => {
    const absent = (...outcomes: ('answers' | 'refused' | 'silent')[]) =>
      saidOf('members', {
        absent: [
          { name: 'ruby', calls: outcomes.map((outcome) => ({ address: '10.0.0.2 TCP 4747', outcome })) },
        ],
      })[1]!.finding;
    expect(absent('silent')).toMatch(/does not answer/);
    expect(absent('silent', 'refused')).toMatch(/no agent listens/);
    expect(absent('refused', 'answers')).toMatch(/somebody answers/);
    expect(absent()).toMatch(/no known address/);
  });

  it('members and commands of other versions', () => {
    expect(level('version', { commandVersion: '1.1.0' })).toEqual(['warning']);
    expect(
      saidOf('version', { agent: agent({}, [member('ruby', { agentVersion: '0.9.0' })]) }),
    ).toMatchObject([{ level: 'warning', finding: 'members run other versions (ruby 0.9.0; here 1.0.0)' }]);
  });

  it('machines without an agent: those that are left alone, and lines that are wrong', () => {
    const builder = (name: string, more: object) => ({
      name,
      peerId: name,
      uri: `ssh-ng://${name}`,
      place: '/etc/nix/machines:2',
      state: 'idle' as const,
      systems: [],
      systemFeatures: [],
      mandatoryFeatures: [],
      slots: 1,
      running: 0,
      speed: 1,
      nixVersion: null,
      ...more,
    });
    const running = agent();
    if (!running.ok) throw new TypeError('It runs.');
    const builders = [
      builder('aquamarine', {}),
      builder('ruby', { state: 'resting', trouble: 'Nobody answers.' }),
      builder('kana', { state: 'up', trouble: 'its nix-daemon does not trust guest: add guest there.' }),
    ];
    const peers = { ...running.value.peers, builders, builderTroubles: ['/etc/nix/machines:3: no host.'] };
    expect(saidOf('builders', { agent: { ok: true, value: { ...running.value, peers } } })).toMatchObject([
      { level: 'warning', finding: '/etc/nix/machines:3: no host' },
      { level: 'warning', finding: 'ruby is left alone: Nobody answers' },
      {
        level: 'warning',
        finding: 'kana can be used, but its nix-daemon does not trust guest',
        mend: 'add guest there',
      },
      { level: 'ok', finding: '2 of 3 machines without an agent can be used' },
    ]);
    expect(saidOf('builders', {})).toEqual([]);
  });
});
