import { OWN_RECORD } from '@mesh/net/testing';
import type { NodeRecord, WorkerMessage } from '@mesh/wire';
import { expect, it } from 'vitest';
import { workerInfoOf } from './worker-info.ts';

const who = { peerId: 'p', name: 'ruby', isHome: false };
const said = {
  type: 'worker',
  name: 'called-otherwise',
  systems: ['x86_64-linux'],
  systemFeatures: ['kvm'],
  slots: 2,
} satisfies WorkerMessage;
const record: NodeRecord = {
  ...OWN_RECORD,
  version: 1,
  peerId: 'p',
  sequence: 1,
  name: 'ruby',
  addresses: [],
  cores: 8,
  speed: 1.5,
  memoryBytes: 16e9,
  tags: ['rack1'],
};

it('what a worker says of itself counts before what it gossips; its name is the mesh’s', () => {
  const told = { ...said, cores: 4, speed: 2, tags: [], memoryBytes: 8e9 };
  expect(workerInfoOf(who, told, record)).toMatchObject({
    ...who,
    systems: ['x86_64-linux'],
    features: ['kvm'],
    slots: 2,
    cores: 4,
    speed: 2,
    tags: [],
    memoryBytes: 8e9,
  });
});

it('what it leaves out is as it gossips, and unknown where it never did', () => {
  expect(workerInfoOf(who, said, record)).toMatchObject({
    cores: 8,
    speed: 1.5,
    tags: ['rack1'],
    memoryBytes: 16e9,
  });
  expect(workerInfoOf(who, said, undefined)).toMatchObject({ slots: 2, cores: undefined, tags: undefined });
});
