import { selects, type WorkerInfo } from '@mesh/schedule';
import type { BuildOptions } from '@mesh/wire';
import { describe, expect, it } from 'vitest';
import { chooseMachines, isExplicit, unmatched } from './machine-choice.ts';

const options = (changes: Partial<BuildOptions>): BuildOptions => ({
  local: false,
  keepGoing: false,
  dryRun: false,
  logs: false,
  ...changes,
});

const members = [
  { peerId: 'p1', name: 'ruby', self: true },
  { peerId: 'p2', name: 'kana', self: false },
  { peerId: 'p3', name: 'twin', self: false },
  { peerId: 'p4', name: 'twin', self: false },
];

const worker = (peerId: string, changes: Partial<WorkerInfo> = {}): WorkerInfo => ({
  peerId,
  name: members.find((member) => member.peerId === peerId)?.name ?? peerId,
  isHome: peerId === 'p1',
  systems: ['x86_64-linux'],
  features: [],
  slots: 2,
  ...changes,
});

/** Peer ids of those workers that `--on` these selectors takes. */
function chosen(on: string[], workers = members.map(({ peerId }) => worker(peerId))): string[] {
  const { only = [] } = chooseMachines(options({ on }), members);
  return workers
    .filter((each) => only.some((selector) => selects(selector, each)))
    .map((each) => each.peerId);
}

describe('the machines of a build', () => {
  it('are all, unless it says otherwise', () => {
    expect(chooseMachines(options({}), members)).toEqual({});
    expect(isExplicit(options({}))).toBe(false);
    expect(isExplicit(options({ prefer: ['ruby'] }))).toBe(false);
    for (const change of [{ on: ['ruby'] }, { not: ['ruby'] }, { local: true }])
      expect(isExplicit(options(change))).toBe(true);
  });

  it('are named by name or peer id, and two of one name are both meant', () => {
    expect(chosen(['kana', 'p1'])).toEqual(['p1', 'p2']);
    expect(chosen(['twin'])).toEqual(['p3', 'p4']);
  });

  it('are this one alone with --local, and `home` among others', () => {
    const { only } = chooseMachines(options({ local: true }), members);
    expect(only).toEqual([{ text: '--local', terms: [{ type: 'peer', peerId: 'p1' }] }]);
    expect(chosen(['home', 'kana'])).toEqual(['p1', 'p2']);
  });

  it('are those called home, where some are', () => {
    const { only } = chooseMachines(options({ on: ['home'] }), [
      ...members,
      { peerId: 'p5', name: 'home', self: false },
    ]);
    expect(only?.[0]?.terms).toEqual([{ type: 'peer', peerId: 'p5' }]);
  });

  it('are chosen by what they are when they are there, not when the build begins', () => {
    const newcomer = worker('p9', { cores: 32, tags: ['rack1'], memoryBytes: 64e9, speed: 2 });
    for (const selector of ['tag=rack1', 'cores>=32', 'memory>=64G', 'speed>=1.9', 'tag=rack1+cores>=2'])
      expect(chosen([selector], [worker('p1'), newcomer]), selector).toEqual(['p9']);
    expect(chosen(['tag=rack1+cores>=33', 'feature=kvm', 'system=aarch64-linux'], [newcomer])).toEqual([]);
  });

  it('must suit all of what + joins, names too', () => {
    const workers = [worker('p3', { tags: ['a'] }), worker('p4'), worker('p2', { tags: ['a'] })];
    expect(chosen(['twin+tag=a'], workers)).toEqual(['p3']);
  });

  it.each(['on', 'not', 'prefer'])('are known by name: --%s of another is refused', (option) => {
    expect(() => chooseMachines(options({ [option]: ['kana', 'jade'] }), members)).toThrow(
      expect.objectContaining({
        code: 'BUILD_UNKNOWN_MACHINE',
        exitCode: 2,
        message: 'No machine of this mesh is called jade; there are ruby, kana, twin.',
      }),
    );
  });

  it('are not called cores: a shell has taken the rest of cores>=16', () => {
    expect(() => chooseMachines(options({ on: ['cores'] }), members)).toThrow(/quote it.*--on 'cores>=…'/);
  });
});

describe('what is chosen and not there', () => {
  it('is said once a selector, for --on and --prefer', () => {
    const choice = chooseMachines(
      options({ on: ['ruby', 'twin', 'tag=gpu'], not: ['tag=slow'], prefer: ['kana', 'cores>=64'] }),
      members,
    );
    expect(unmatched(choice, [worker('p1'), worker('p2')])).toEqual([
      '--on twin: no connected machine is that at the moment.',
      '--on tag=gpu: no connected machine is that at the moment.',
      '--prefer cores>=64: no connected machine is that at the moment.',
    ]);
    expect(
      unmatched(choice, [worker('p1'), worker('p4', { tags: ['gpu'], cores: 64 }), worker('p2')]),
    ).toEqual([]);
  });
});
