import { ask } from '../control/port.ts';
import { safeLine } from '../render/text.ts';
import { type CommonFlags, printJson, printOut, runningAgent } from './io.ts';

const UNTRUSTED =
  "nix-daemon does not trust the agent's user, so that it builds for itself alone: add it to trusted-users in nix.conf, restart nix-daemon, then the agent";

/** `mesh status`: who the agent of this machine is. */
export async function status(flags: CommonFlags & { json?: boolean }): Promise<void> {
  const value = await ask(runningAgent(flags), { method: 'status' });
  if (flags.json) return printJson(value);
  const { trust } = await ask(runningAgent(flags), { method: 'doctor' });
  const rows: [string, string][] = [
    ['name', value.name],
    ['peer id', value.peerId],
    ['mesh', value.meshId],
    ['agent', value.version],
    ['Nix', value.nixVersion ?? 'not found'],
    ...value.addresses.map((address): [string, string] => ['address', address]),
    ...(trust === 'untrusted' ? [['trust', UNTRUSTED] as [string, string]] : []),
    ...(value.closed === undefined ? [] : [['closed', value.closed] as [string, string]]),
    ...(value.builderTroubles ?? []).map((trouble): [string, string] => ['builder', trouble]),
  ];
  printOut(rows.map(([title, text]) => `${title.padEnd(9)}${safeLine(text, false)}`).join('\n'));
}
