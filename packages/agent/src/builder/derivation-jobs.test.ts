import { parseDerivation } from '@mesh/nix';
import type { BuildOptions } from '@mesh/wire';
import { expect, test } from 'vitest';
import { AgentError } from '../errors.ts';
import type { Job } from '../job/job.ts';
import { DerivationJobs } from './derivation-jobs.ts';

const ATERM =
  'Derive([("out","/nix/store/00000000000000000000000000000000-a","","")],[],[],"x86_64-linux","/bin/sh",[],[("out","/nix/store/00000000000000000000000000000000-a")])';

/** The machines that a job may not use, of which one has an agent and one has none. */
async function leftOut(where: 'others' | 'anywhere'): Promise<BuildOptions['not']> {
  let asked: BuildOptions | undefined;
  const create = (options: BuildOptions): Job => {
    asked = options;
    throw new AgentError('BUILD_UNKNOWN_MACHINE', 'Enough.');
  };
  const view = {
    ...{
      name: 'kana',
      peerId: 'sshkana',
      uri: 'ssh-ng://kana',
      place: '/etc/nix/machines:1',
      state: 'up' as const,
    },
    ...{
      systems: ['x86_64-linux'],
      systemFeatures: [],
      mandatoryFeatures: [],
      slots: 2,
      running: 0,
      speed: 1,
    },
    nixVersion: null,
  };
  const jobs = new DerivationJobs(
    { self: 'home' },
    {
      runner: { create, run: () => Promise.reject(new Error('not run')), holdersOf: () => [] },
      builders: { views: () => [view] },
      nowS: () => 0,
    },
  );
  const request = {
    drvPath: '/nix/store/00000000000000000000000000000000-a.drv',
    derivation: parseDerivation(Buffer.from(ATERM)),
  };
  await jobs.build(request as never, undefined as never, { where, submitter: 'nix-daemon' });
  return asked?.not;
}

test('what nix-daemon has locked outputs for is built neither at home nor where it would come home from', async () => {
  expect(await leftOut('others')).toEqual(['home', 'sshkana']);
});

test('what a machine without an agent asks for is built anywhere', async () => {
  expect(await leftOut('anywhere')).toBeUndefined();
});
