import { ask } from '../control/port.ts';
import { CliError, EXIT } from '../errors.ts';
import { type CommonFlags, printJson, printOut, runningAgent } from './io.ts';

/** `mesh front-door`: what other machines need to use this one as `ssh-ng://` builder and store. */
export async function frontDoor(flags: CommonFlags & { json?: boolean }): Promise<void> {
  const status = await ask(runningAgent(flags), { method: 'status' });
  if (status.frontDoor === undefined) {
    throw new CliError(
      'FRONT_DOOR_CLOSED',
      EXIT.failure,
      'The front door of this machine is closed; set frontDoor.enabled and authorizedKeys in its configuration and restart the agent.',
    );
  }
  const view = frontDoorView(status.name, status.frontDoor);
  if (flags.json) return printJson(view);
  printOut(
    [
      `store and builder   ${view.uri}`,
      `known_hosts         ${view.knownHosts}`,
      `publicHostKey       ${view.publicHostKey}`,
    ].join('\n'),
  );
}

/** `publicHostKey` as `nix.buildMachines` and the last field of /etc/nix/machines have it: base64 of the `.pub` file. */
export function frontDoorView(
  host: string,
  { port, hostKey }: { port: number; hostKey: string },
): { uri: string; knownHosts: string; publicHostKey: string } {
  return {
    uri: `ssh-ng://mesh@${host}:${port}`,
    knownHosts: `[${host}]:${port} ${hostKey}`,
    publicHostKey: Buffer.from(`${hostKey}\n`).toString('base64'),
  };
}
