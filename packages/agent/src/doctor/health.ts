import type { MeshNet } from '@mesh/net';
import type { ControlResult } from '@mesh/wire';
import { MemberClocks } from './member-clocks.ts';

/** What the agent alone can tell `mesh doctor`, kept up to date while it runs. */
export function watchHealth(
  net: Pick<MeshNet, 'events' | 'connectedMembers' | 'nameOf'>,
  own: Pick<ControlResult<'doctor'>, 'trust' | 'mdns'>,
  now: () => number,
): () => ControlResult<'doctor'> {
  const clocks = new MemberClocks();
  net.events.on('record', (record) => clocks.heard(record, now()));
  return () => ({
    ...own,
    clocks: net.connectedMembers().flatMap((peerId) => {
      const [name, aheadMs] = [net.nameOf(peerId), clocks.aheadMs(peerId)];
      return name === undefined || aheadMs === undefined ? [] : [{ name, aheadMs }];
    }),
  });
}
