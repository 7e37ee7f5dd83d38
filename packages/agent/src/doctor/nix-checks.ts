import type { DoctorFacts } from './facts.ts';
import { broken, type Finding, ok, skipped, warning } from './finding.ts';

/** Nix, its daemon, and what it lets the agent do. */
export function nixChecks(facts: DoctorFacts): Finding[] {
  return [
    checkNix(facts),
    checkDaemon(facts),
    checkTrust(facts),
    checkSandbox(facts),
    checkSubstituter(facts),
  ];
}

function checkNix({ nix }: DoctorFacts): Finding {
  if (nix.ok) return ok('nix', `Nix ${nix.value.version}`);
  return broken('nix', withoutStop(nix.error), 'install Nix 2.8 or newer: https://nixos.org/download');
}

function checkDaemon({ daemon, platform }: DoctorFacts): Finding {
  if (daemon.ok) return ok('daemon', 'nix-daemon answers');
  const start =
    platform === 'darwin'
      ? 'sudo launchctl kickstart -k system/org.nixos.nix-daemon'
      : 'sudo systemctl start nix-daemon.socket (without systemd: sudo nix-daemon &)';
  return broken('daemon', withoutStop(daemon.error), `start it: ${start}`);
}

/** What counts is how the daemon takes the agent's user; without an agent, the one who asks. */
function checkTrust({ agent, daemon }: DoctorFacts): Finding {
  const whose = agent.ok ? "the agent's user" : 'this user';
  const trust = agent.ok ? agent.value.doctor.trust : daemon.ok ? daemon.value.trust : undefined;
  if (trust === undefined) return skipped('trust', 'whether the agent is trusted: there is no daemon to ask');
  if (trust === 'trusted') return ok('trust', `nix-daemon trusts ${whose}`);
  if (trust === 'unknown')
    return skipped(
      'trust',
      `whether ${whose} is trusted: this nix-daemon is too old to say, and no agent runs`,
    );
  const mend =
    'add it to trusted-users in /etc/nix/nix.conf (extra-trusted-users = NAME), restart nix-daemon, then the agent';
  const finding = `nix-daemon does not trust ${whose}: it builds for itself alone`;
  return agent.ok ? broken('trust', finding, mend) : warning('trust', finding, mend);
}

function checkSandbox({ nix, platform }: DoctorFacts): Finding {
  if (!nix.ok) return skipped('sandbox', 'whether builds are sandboxed: Nix does not say');
  const { sandbox } = nix.value;
  if (sandbox === true) return ok('sandbox', 'builds run in a sandbox');
  // Nix's own default there; few set-ups can do otherwise.
  if (sandbox === false && platform === 'darwin')
    return ok('sandbox', 'builds run without a sandbox, as is usual on macOS');
  return warning(
    'sandbox',
    sandbox === 'relaxed'
      ? 'builds that ask for it run outside the sandbox'
      : 'builds run without a sandbox: what they find on this machine gets into results that others use',
    'set `sandbox = true` in /etc/nix/nix.conf and restart nix-daemon',
  );
}

function checkSubstituter({ agent }: DoctorFacts): Finding {
  if (!agent.ok) return skipped('cache', 'whether plain Nix takes from the mesh: no agent runs');
  const { off, configured, badPeers } = agent.value.cache;
  if (badPeers > 0)
    return warning(
      'cache',
      `members gave bytes that were wrong ${badPeers} times`,
      "see the agent's log for who; check that machine's disk and memory, or `mesh remove` it",
    );
  if (off !== null) return ok('cache', 'the binary cache for plain Nix is off');
  if (configured.substituter && configured.trusted) return ok('cache', 'plain Nix takes from the mesh');
  const what = configured.substituter ? 'asks the mesh and does not trust its key' : 'does not ask the mesh';
  return ok('cache', `plain Nix ${what} (\`mesh cache trust\` prints what nix.conf needs)`);
}

function withoutStop(sentence: string): string {
  return sentence.replace(/\.$/, '');
}
