import type { MemberView } from '@mesh/net';
import type { NodeRecord } from '@mesh/wire';
import { EXPECTED_AGAIN_MS } from '../constants.ts';
import type { Absent } from './feasibility.ts';

export interface Sight {
  readonly members: readonly MemberView[];
  /** Peers whose worker has introduced itself. */
  readonly introduced: { has(peerId: string): boolean };
  /** Peers whose worker was called and has not. */
  readonly called: ReadonlySet<string>;
  /** Wall clock, milliseconds. */
  readonly agentStartedMs: number;
  readonly nowMs: number;
}

/**
 * Members that may introduce themselves as workers within seconds: those that were called, and those not connected that were a moment
 * ago, or that an agent which has just started has not met yet.
 */
export function expectedMembers(sight: Sight): Absent[] {
  const since = sight.nowMs - EXPECTED_AGAIN_MS;
  const lately = (member: MemberView) =>
    sight.agentStartedMs > since || (member.lastSeenMs !== undefined && member.lastSeenMs > since);
  return sight.members
    .filter((member) => !sight.introduced.has(member.peerId) && member.roles.includes('build'))
    .filter((member) => sight.called.has(member.peerId) || (!member.connected && lately(member)))
    .map(({ name, record }) => ({ name, info: record && recordedInfo(record) }));
}

/** Of the members that are not among the workers, why they are not. */
export function absences(sight: Pick<Sight, 'members' | 'introduced'>): string[] {
  return sight.members
    .filter((member) => !sight.introduced.has(member.peerId))
    .map(
      ({ name, connected }) =>
        `${name} ${connected ? 'takes no work from this machine' : 'is not connected'}`,
    );
}

/** A machine as its last record describes it: it may be another when it comes, but not by much. */
function recordedInfo(record: NodeRecord) {
  const { peerId, name, systems, systemFeatures: features, slots, cores, speed, tags, memoryBytes } = record;
  return { peerId, name, isHome: false, systems, features, slots, cores, speed, tags, memoryBytes };
}
