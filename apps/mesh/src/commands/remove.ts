import { ask } from '../control/port.ts';
import { safeLine } from '../render/text.ts';
import { type CommonFlags, printNote, runningAgent } from './io.ts';

/** `mesh remove PEER`: takes a machine out of the mesh for good. */
export async function remove(peer: string, flags: CommonFlags): Promise<void> {
  const value = await ask(runningAgent(flags), { method: 'remove', peer });
  printNote(`removed ${safeLine(`${value.name} (${value.peerId})`, false)} from the mesh`);
}
