import type { SshTarget } from '../ssh-client.ts';
import { shellCommand } from './shell-quote.ts';

/** What makes a NixOS machine a member: its owner adds the module and these lines, switches, and joins once. */
export function nixosConfiguration(
  { user, host, port }: Pick<SshTarget, 'user' | 'host' | 'port'>,
  peerAddresses: readonly string[],
): string {
  const [address] = peerAddresses;
  const peer =
    address === undefined
      ? ''
      : `\n    # Where multicast does not reach from there to here:\n    # settings.peers = [ "${address}" ];`;
  const ssh = shellCommand(
    'ssh',
    '-p',
    String(port),
    `${user}@${host}`,
    ...(user === 'root' ? [] : ['sudo']),
  );
  return `  # In flake.nix: nixosModules.mesh of the mesh's flake among the modules of this machine. Then:
  services.mesh = {
    enable = true;
    openFirewall = true;${peer}
  };

After \`nixos-rebuild switch\` there, once, here:

  mesh invite | ${ssh} mesh join`;
}
