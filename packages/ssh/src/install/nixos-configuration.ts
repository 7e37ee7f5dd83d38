/** What makes a NixOS machine a member: the owner adds it, switches, and runs `mesh join` there once. */
export function nixosConfiguration(peerAddresses: readonly string[]): string {
  const peers = peerAddresses.map(
    (address) => `\n    # settings.peers = [ "${address}" ]; # where multicast does not reach`,
  );
  return `{
  # flake.nix: inputs.mesh.url = "…"; and inputs.mesh.nixosModules.mesh among the modules
  services.mesh = {
    enable = true;
    openFirewall = true;${peers.slice(0, 1).join('')}
  };
}

Then \`nixos-rebuild switch\`, and once: mesh invite | ssh THAT-MACHINE sudo mesh join`;
}
