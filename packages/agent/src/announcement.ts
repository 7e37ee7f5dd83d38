import type { MeshNet } from '@mesh/net';
import type { MachineFacts } from './machine/facts.ts';
import { AGENT_VERSION } from './version.ts';

/** What the owner says of the machine. */
export interface OwnersWords {
  tags: readonly string[];
  /** Why it takes nobody's builds at the moment. */
  closed(): string | undefined;
}

/**
 * Tells the mesh what this machine can do and does.
 * @param running builds running here
 * @param jobs jobs of which this is the home
 */
export async function announceMachine(
  net: Pick<MeshNet, 'publish'>,
  facts: MachineFacts,
  owner: OwnersWords,
  { running, jobs }: { running: number; jobs: number },
): Promise<void> {
  const load = await facts.load(running);
  const closed = owner.closed();
  const emulated = facts.emulated();
  net.publish({
    ...facts.capability,
    agentVersion: AGENT_VERSION,
    load,
    speed: facts.speed(),
    ...(Object.keys(emulated).length === 0 ? {} : { emulated }),
    ...(owner.tags.length === 0 ? {} : { tags: [...owner.tags] }),
    ...(closed === undefined ? {} : { closed }),
    jobs,
  });
}
