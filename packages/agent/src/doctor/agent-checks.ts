import type { DoctorFacts } from './facts.ts';
import { broken, type Finding, ok, skipped, warning } from './finding.ts';

/** The agent of this machine: whether it runs, what it keeps, and what it listens on. */
export function agentChecks(facts: DoctorFacts): Finding[] {
  return [
    checkAgent(facts),
    checkVersion(facts),
    checkConfig(facts),
    checkStateDir(facts),
    checkPort(facts),
    checkNixSocket(facts),
  ];
}

function checkAgent({ agent, platform }: DoctorFacts): Finding {
  if (agent.ok) {
    const { name, closed } = agent.value.status;
    if (closed === undefined) return ok('agent', `the agent runs as ${name}`);
    return warning(
      'agent',
      `the agent takes no work of others: ${closed}`,
      'see docs/offer.md; `mesh resume` ends a pause',
    );
  }
  const start =
    platform === 'darwin' ? 'sudo launchctl kickstart system/org.mesh.agent' : 'sudo systemctl start mesh';
  return broken('agent', withoutStop(agent.error), `start it: ${start}, or \`mesh agent\` in a terminal`);
}

function checkVersion({ agent, commandVersion }: DoctorFacts): Finding {
  if (!agent.ok) return skipped('version', 'whether agent and command are of one version: no agent runs');
  const { version } = agent.value.status;
  if (version !== commandVersion)
    return warning(
      'version',
      `the agent is ${version} and this command ${commandVersion}`,
      'restart the agent, or use the command that it came with',
    );
  const others = agent.value.peers.members.filter(
    ({ agentVersion, self }) => !self && agentVersion !== null && agentVersion !== version,
  );
  if (others.length === 0) return ok('version', `agent, command and members are ${version}`);
  const list = others.map(({ name, agentVersion }) => `${name} ${agentVersion}`).join(', ');
  return warning(
    'version',
    `members run other versions (${list}; here ${version})`,
    'upgrade them: mesh install USER@HOST',
  );
}

function checkConfig({ config }: DoctorFacts): Finding {
  if (config.ok) return ok('config', 'config.json is right, or there is none');
  return broken(
    'config',
    withoutStop(config.error),
    'mend the key it names (mesh config edit), or remove the file',
  );
}

function checkStateDir({ stateDir }: DoctorFacts): Finding {
  const { path, mode, uid, mayLook } = stateDir;
  if (!mayLook) return skipped('state', `${path} may not be looked at by this user: run it as root`);
  if (mode === undefined) return ok('state', `there is no ${path} yet`);
  const [theirs, what] = [mode & 0o077, (mode & 0o777).toString(8)];
  // Its sockets are below it on macOS: to pass through is not to read.
  if ((theirs & 0o066) === 0) return ok('state', `${path} is private (mode ${what}, user ${uid})`);
  return broken(
    'state',
    `${path} is open to others (mode ${what}), and holds the key this machine proves itself with`,
    `chmod 700 ${path}`,
  );
}

function checkPort({ agent, port }: DoctorFacts): Finding {
  if (!agent.ok) return skipped('port', 'whether the port is open: no agent runs');
  if (port === undefined)
    return broken(
      'port',
      'the agent knows no address of this machine that others could call',
      'connect it to the network; bridges of containers do not count',
    );
  if (port.open) return ok('port', `the agent answers at ${port.address}`);
  return broken(
    'port',
    `the agent does not answer at ${port.address}`,
    'open that TCP port in the firewall of this machine',
  );
}

function checkNixSocket({ agent, nixSocket }: DoctorFacts): Finding {
  if (!agent.ok || nixSocket === 'unknown')
    return skipped('nix-socket', 'the socket for plain Nix: no agent runs');
  if (nixSocket === 'answers') return ok('nix-socket', 'plain Nix can use the mesh by NIX_REMOTE (mesh run)');
  if (nixSocket === 'absent')
    return warning(
      'nix-socket',
      'the agent has no socket for plain Nix (nix.sock)',
      "see the agent's log for why",
    );
  return broken('nix-socket', 'nobody answers at the socket for plain Nix (nix.sock)', 'restart the agent');
}

function withoutStop(sentence: string): string {
  return sentence.replace(/\.$/, '');
}
