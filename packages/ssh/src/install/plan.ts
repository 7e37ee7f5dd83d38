import {
  AGENT_PORT,
  AGENT_USER,
  CURRENT,
  INSTALL_DIR,
  MDNS_PORT,
  STATE_DIR,
  TRANSFER_PORT,
} from './constants.ts';
import type { HostFacts } from './host-facts.ts';
import {
  type InstallStep,
  type InstallWish,
  type StepAction,
  type StepName,
  serviceOf,
} from './install-step.ts';
import {
  activateScript,
  cleanScript,
  nixConfScript,
  REMOVE_STATE,
  removeFilesScript,
  removeUserScript,
  startScript,
  stopScript,
  userScript,
} from './root-scripts.ts';
import { withoutTrust, withTrust } from './trust-block.ts';

/**
 * The steps from what a machine is to one whose agent runs this release as a member. A step that has nothing to do has no action, so
 * that the plan of a finished machine does nothing, and that of a half-finished one the rest.
 */
export function planInstall(facts: HostFacts, wish: InstallWish): InstallStep[] {
  const { release } = wish;
  const service = serviceOf(facts, wish.service);
  const isThere =
    release.kind === 'bundle' ? facts.versions.includes(release.id) : facts.current === release.id;
  const isCurrent = facts.current === release.id;
  const target = release.kind === 'bundle' ? `versions/${release.id}` : release.id;
  const hasUser = facts.userHome === STATE_DIR && facts.stateDir;
  const conf = withTrust(facts.nixConf.text);
  const isTrusted = conf === facts.nixConf.text;
  const unit = unitText(service, wish);
  const runs = facts.active && isCurrent && isTrusted && (unit === undefined || facts.unit === unit);
  const name = release.id.replace(/^\/nix\/store\//, '');
  return [
    step('copy', isThere ? `${name} is there` : `copied ${name}`, !isThere && { do: 'copy' }),
    step(
      'user',
      hasUser ? `user ${AGENT_USER} is there` : `made the user ${AGENT_USER}, with ${STATE_DIR}`,
      !hasUser && script(userScript(facts)),
    ),
    step(
      'trust',
      isTrusted
        ? `${AGENT_USER} is among the trusted users of Nix`
        : `made ${AGENT_USER} a trusted user in ${facts.nixConf.path}${service === 'none' ? '; restart nix-daemon yourself' : ''}`,
      !isTrusted && script(nixConfScript(facts.nixConf.path, conf, service)),
    ),
    step(
      'activate',
      isCurrent ? `${CURRENT} is up to date` : `${CURRENT} is ${name}`,
      !isCurrent && script(activateScript(target, facts)),
    ),
    ...serviceSteps(facts, service, runs, unit),
    ...cleanSteps(facts, release.kind === 'bundle' ? release.id : ''),
  ];
}

function serviceSteps(
  facts: HostFacts,
  service: ReturnType<typeof serviceOf>,
  runs: boolean,
  unit: string | undefined,
): InstallStep[] {
  if (service === 'none')
    return [
      step(
        'service',
        `not started: run ${CURRENT}/bin/mesh agent as the user ${AGENT_USER}, then \`mesh join\` there`,
        false,
      ),
    ];
  const how = service === 'supervise' ? 'a script that keeps it running until the machine stops' : service;
  return [
    step(
      'service',
      runs ? `the agent runs (${how})` : `started the agent (${how})`,
      !runs && script(startScript(service, unit ?? '')),
    ),
    step('firewall', firewallHint(facts), false),
    step('join', 'is a member', { do: 'join' }),
    step('seen', 'is connected', { do: 'see' }),
  ];
}

/** Of versions that nobody runs any more, and of broken uploads. */
function cleanSteps({ versions }: HostFacts, id: string): InstallStep[] {
  const old = versions.filter((version) => version !== id);
  if (old.length === 0) return [];
  return [step('clean', `removed ${old.join(', ')}`, script(cleanScript(id)))];
}

function unitText(service: ReturnType<typeof serviceOf>, { units }: InstallWish): string | undefined {
  if (service === 'systemd') return units.systemd;
  return service === 'launchd' ? units.launchd : undefined;
}

/**
 * What must be open for members to reach it; nothing is changed. Beside the agent's own port there is one for store paths, which the
 * system chooses: the LAN is let through as a whole.
 */
function firewallHint({ firewall }: HostFacts): string {
  switch (firewall) {
    case 'ufw':
      return `ufw is on: let the LAN through, run \`ufw allow from 192.168.0.0/16\` or the like there (TCP ${AGENT_PORT} and ${TRANSFER_PORT}, UDP ${MDNS_PORT})`;
    case 'firewalld':
      return `firewalld is on: let the LAN through, run \`firewall-cmd --permanent --zone=trusted --add-source=192.168.0.0/16 && firewall-cmd --reload\` or the like there (TCP ${AGENT_PORT} and ${TRANSFER_PORT}, UDP ${MDNS_PORT})`;
    case 'none':
      return `neither ufw nor firewalld is on; members need TCP ${AGENT_PORT} and ${TRANSFER_PORT} and UDP ${MDNS_PORT}`;
  }
}

/** The steps that take everything away again. */
export function planUninstall(
  facts: HostFacts,
  { keepState }: { readonly keepState: boolean },
): InstallStep[] {
  // What is not the machine's manager's was started by our script.
  const service = facts.serviceManager === 'none' ? 'supervise' : facts.serviceManager;
  const conf = withoutTrust(facts.nixConf.text);
  const isTrusted = conf !== facts.nixConf.text;
  const ours = facts.userHome === STATE_DIR;
  const running = facts.active || facts.unit !== undefined;
  return [
    keepState
      ? step('leave', 'stays a member: its state is kept', false)
      : facts.agent === undefined
        ? step('leave', 'no agent answers there: if it was a member, take it out with `mesh remove`', false)
        : step('leave', 'is no member any more', { do: 'leave', peerId: facts.agent.peerId }),
    step(
      'service',
      running ? 'stopped the agent' : 'no service is there',
      running && script(stopScript(service)),
    ),
    step(
      'trust',
      isTrusted
        ? `took our lines out of ${facts.nixConf.path}`
        : `nothing of ours is in ${facts.nixConf.path}`,
      isTrusted && script(nixConfScript(facts.nixConf.path, conf, service)),
    ),
    step('files', `removed ${INSTALL_DIR}`, script(removeFilesScript(facts))),
    step(
      'user',
      ours ? `removed the user ${AGENT_USER}` : 'no user is there',
      ours && script(removeUserScript(facts)),
    ),
    step(
      'state',
      keepState ? `kept ${STATE_DIR}` : facts.stateDir ? `removed ${STATE_DIR}` : 'no state is there',
      !keepState && facts.stateDir && script(REMOVE_STATE),
    ),
  ];
}

function script(text: string): StepAction {
  return { do: 'script', script: text };
}

function step(name: StepName, says: string, action: StepAction | false): InstallStep {
  return action === false ? { name, says } : { name, says, action };
}
