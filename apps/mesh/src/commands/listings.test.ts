import type { PeerView } from '@mesh/wire';
import { describe, expect, it } from 'vitest';
import { createStyle } from '../render/style.ts';
import { drv } from '../testing/recorded-job.ts';
import { jobsText } from './jobs.ts';
import { peersText } from './peers.ts';

const PLAIN = createStyle(false);
const NOW = Date.parse('2026-11-22T10:00:30Z');

const member = (name: string, changes: Partial<PeerView>): PeerView => ({
  name,
  peerId: `12D3${name}`,
  self: false,
  connected: true,
  roles: ['build'],
  addresses: [],
  systems: ['x86_64-linux'],
  systemFeatures: ['kvm', 'big-parallel'],
  cores: 8,
  slots: 4,
  memoryBytes: 16e9,
  load: { running: 3, loadAverage: 2.51, memoryAvailableBytes: 9.7e9, diskAvailableBytes: 1e12 },
  nixVersion: '2.34.8',
  agentVersion: '0.1.0',
  lastSeen: '2026-11-22T10:00:00Z',
  ...changes,
});

describe('mesh peers', () => {
  const silent = { systems: [], systemFeatures: [], cores: null, slots: null, load: null, nixVersion: null };

  it('lists this machine first, then the others by name, and what is not known as -', () => {
    const members = [
      member('h10', { connected: false, ...silent }),
      member('h2', {}),
      member('h1', { self: true }),
    ];
    expect(peersText({ meshId: 'm', members, strangers: [] }, NOW, PLAIN).split('\n')).toEqual([
      'NAME  STATE  SYSTEMS       FEATURES          CORES  SLOTS  LOAD  FREE MEMORY  NIX     LAST SEEN',
      'h1    this   x86_64-linux  kvm,big-parallel      8    3/4   2.5       9.7 GB  2.34.8  now',
      'h2    up     x86_64-linux  kvm,big-parallel      8    3/4   2.5       9.7 GB  2.34.8  now',
      'h10   down   -             -                     -      -     -            -  -       30 s ago',
    ]);
  });

  it('shows tags where there are any, what is only emulated, and which machines are closed', () => {
    const members = [
      member('h1', {
        self: true,
        systems: ['x86_64-linux', 'aarch64-linux'],
        emulated: { 'aarch64-linux': 0.1 },
      }),
      member('h2', { tags: ['rack1', 'ssd'], closed: 'paused by its owner' }),
    ];
    expect(peersText({ meshId: 'm', members, strangers: [] }, NOW, PLAIN).split('\n')).toEqual([
      'NAME  STATE  SYSTEMS                               FEATURES          TAGS       CORES  SLOTS  LOAD  FREE MEMORY  NIX     LAST SEEN',
      'h1    this   x86_64-linux,aarch64-linux(emulated)  kvm,big-parallel  -              8    3/4   2.5       9.7 GB  2.34.8  now',
      'h2    up     x86_64-linux                          kvm,big-parallel  rack1,ssd      8    3/4   2.5       9.7 GB  2.34.8  now',
      '',
      'Take no builds of others now:',
      '  h2: paused by its owner',
    ]);
  });

  it('lists strangers below, and lets no name steer the terminal', () => {
    const strangers = [
      { peerId: '12D3X', addresses: ['/ip4/10.0.0.9/tcp/4001'], lastSeen: '2026-11-22T09:58:30Z' },
    ];
    const text = peersText({ meshId: 'm', members: [member('h\u001b[2J1', {})], strangers }, NOW, PLAIN);
    expect(text).toContain('  12D3X  /ip4/10.0.0.9/tcp/4001  2 min ago');
    expect(text).not.toContain('\u001b');
  });
});

describe('mesh jobs', () => {
  it('lists the newest first, and what runs where', () => {
    const job = {
      state: 'built',
      wallMs: 4_300,
      wanted: [drv('jq-1.7')],
      total: 5,
      built: 5,
      failed: 0,
      running: [],
    } as const;
    const text = jobsText(
      [
        { ...job, job: 'j1', startedAt: '2026-11-22T09:00:00Z', wanted: [...job.wanted], running: [] },
        {
          ...job,
          job: 'j2',
          state: 'running',
          built: 2,
          startedAt: '2026-11-22T10:00:00Z',
          wanted: ['a', 'b', 'c', 'd'].map(drv),
          running: [{ drvPath: drv('b'), name: 'b', peer: 'h2' }],
          fetching: [
            {
              ...{
                drvPath: drv('c'),
                name: 'c',
                peer: 'h3',
                pathsDone: 0,
                pathsTotal: 1,
                bytesDone: 1_000_000,
              },
              ...{ bytesTotal: 5_000_000, bytesPerS: 500_000, sources: { h1: 1_000_000 } },
            },
          ],
        },
      ],
      PLAIN,
    );
    expect(text.split('\n')).toEqual([
      'JOB  STATE    STARTED                TOOK  BUILT  FAILED  WANTED',
      'j2   running  2026-11-22T10:00:00Z  4.3 s    2/5       0  a, b, c and 1 more',
      'j1   built    2026-11-22T09:00:00Z  4.3 s    5/5       0  jq-1.7',
      '  j2: h2 builds b',
      '  j2: h3 fetches for c: 1.0 MB of 5.0 MB, 500.0 kB/s from h1',
    ]);
  });
});
