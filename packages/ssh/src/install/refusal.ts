import { AGENT_USER, INSTALL_DIR, NEEDED_BYTES, OLDEST_NIX, STATE_DIR } from './constants.ts';
import type { HostFacts } from './host-facts.ts';
import type { ServiceChoice } from './install-step.ts';

/** What the person who asked can give. */
export interface Means {
  readonly service: ServiceChoice;
  readonly sudoPassword: boolean;
}

/**
 * Why nothing can be installed on a machine, in one sentence; undefined where it can. Asked before anything is changed. NixOS is no
 * refusal: there the answer is a configuration.
 */
export function installRefusal(facts: HostFacts, means: Means): string | undefined {
  const { platform, nixVersion, nixConf, userHome } = facts;
  if (platform === undefined)
    return `it is ${facts.kernel} on ${facts.machine}, and agents run on Linux and macOS, on x86-64 and ARM64`;
  if (facts.musl)
    return "its C library is musl, for which there is no Node here; install Nix's package of the mesh there";
  if (nixVersion === undefined) return 'it has no Nix; install it first (https://nixos.org/download)';
  if (isOlder(nixVersion))
    return `its Nix ${nixVersion} is too old; upgrade it to ${OLDEST_NIX.join('.')} or newer`;
  if (!facts.daemon)
    return 'no nix-daemon listens there; start it, or install Nix for several users (the agent is a user of its own)';
  const refusal = rootRefusal(facts, means);
  if (refusal !== undefined) return refusal;
  if (facts.freeBytes !== undefined && facts.current === undefined && facts.freeBytes < NEEDED_BYTES)
    return `its disk has ${mib(facts.freeBytes)} free for ${INSTALL_DIR}, and ${mib(NEEDED_BYTES)} are needed`;
  if (userHome !== undefined && userHome !== STATE_DIR)
    return `there is a user ${AGENT_USER} already, whose home is ${userHome}; rename that user first`;
  if (nixConf.foreign)
    return `its ${nixConf.path} is a link that something else manages; add \`${AGENT_USER}\` to trusted-users there, and install with the flake`;
  if (means.service === 'manager' && facts.serviceManager === 'none')
    return 'it has neither systemd nor launchd; say --supervise to have a small script keep the agent running until the machine stops, or --no-service to start it yourself';
  if (means.service === 'supervise' && platform.platform === 'darwin')
    return 'macOS has launchd: leave out --supervise';
  return undefined;
}

/** Why nothing can be taken away. */
export function uninstallRefusal(facts: HostFacts, means: Pick<Means, 'sudoPassword'>): string | undefined {
  if (facts.nixos) return 'it is NixOS; take services.mesh out of its configuration';
  return rootRefusal(facts, means);
}

function rootRefusal({ root }: HostFacts, { sudoPassword }: Pick<Means, 'sudoPassword'>): string | undefined {
  if (root === 'none') return 'this user is not root and there is no sudo; connect as root, or install sudo';
  if (root === 'sudo-password' && !sudoPassword)
    return 'sudo asks for a password there; say --ask-sudo-password, or connect as root';
  return undefined;
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < OLDEST_NIX[0] || (major === OLDEST_NIX[0] && minor < OLDEST_NIX[1]);
}

function mib(bytes: number): string {
  return `${Math.floor(bytes / 1024 / 1024)} MiB`;
}
