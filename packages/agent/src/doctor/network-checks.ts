import { CLOCK_OFF_MS } from './constants.ts';
import type { AbsentMember, DoctorFacts, MulticastFacts } from './facts.ts';
import { broken, type Finding, ok, skipped, warning } from './finding.ts';

/** Whether machines find and reach each other, and agree on the time. */
export function networkChecks(facts: DoctorFacts): Finding[] {
  return [...multicastChecks(facts), ...memberChecks(facts), clockCheck(facts)];
}

function multicastChecks({ multicast, agent }: DoctorFacts): Finding[] {
  if (multicast === undefined) return [skipped('multicast', 'discovery by multicast: switched off')];
  if (multicast.length === 0)
    return [
      broken(
        'multicast',
        'no interface leads to a LAN',
        'connect a cable or Wi-Fi; bridges of containers do not count',
      ),
    ];
  return multicast.map((link) => multicastCheck(link, agent.ok));
}

function multicastCheck(link: MulticastFacts, agentRuns: boolean): Finding {
  const { address, answers, error, heardItself } = link;
  const at = `${link.interface} (${address})`;
  const others = answers.filter((answer) => answer !== address);
  if (error !== undefined)
    return broken(
      'multicast',
      `nothing can be sent by multicast on ${at}: ${error}`,
      'see `ip link` and `ip route`; the interface must have MULTICAST',
    );
  if (!heardItself)
    return broken(
      'multicast',
      `multicast is blocked on ${at}`,
      'open UDP 5353 in the firewall of this machine',
    );
  if (agentRuns && !answers.includes(address))
    return broken(
      'multicast',
      `the agent does not hear questions on ${at}`,
      'open UDP 5353 in the firewall of this machine; see whether the interface is left out in the configuration',
    );
  if (others.length === 0) return ok('multicast', `multicast goes out on ${at}; nobody else answers there`);
  return ok(
    'multicast',
    `${others.length === 1 ? 'one agent answers' : `${others.length} agents answer`} on ${at}`,
  );
}

function memberChecks({ agent, absent }: DoctorFacts): Finding[] {
  if (!agent.ok) return [skipped('members', 'whether members are reached: no agent runs')];
  const others = agent.value.peers.members.filter(({ self }) => !self);
  if (others.length === 0)
    return [ok('members', 'this machine is alone in its mesh (mesh invite makes a ticket for others)')];
  const up = others.filter(({ connected }) => connected).length;
  return [ok('members', `${up} of ${others.length} other members are connected`), ...absent.map(absentCheck)];
}

function absentCheck({ name, calls }: AbsentMember): Finding {
  const [first] = calls;
  if (first === undefined)
    return warning(
      'members',
      `${name} is not connected and has no known address`,
      'switch it on; `mesh remove` it if it is gone',
    );
  const at = calls.map(({ address }) => address).join(', ');
  if (calls.some(({ outcome }) => outcome === 'answers'))
    return warning(
      'members',
      `${name} is not connected though somebody answers at ${at}`,
      "see both agents' logs: it may be another machine by now, or removed",
    );
  if (calls.some(({ outcome }) => outcome === 'refused'))
    return warning('members', `${name} is on and no agent listens at ${at}`, 'start its agent');
  return warning(
    'members',
    `${name} does not answer at ${at}`,
    'switch it on, or open that TCP port in its firewall',
  );
}

/**
 * Compared with the members' clocks, by the times in the records they send. Where most are off to the same side, it is this machine's
 * clock that is wrong.
 */
function clockCheck({ agent }: DoctorFacts): Finding {
  if (!agent.ok) return skipped('clock', 'whether clocks agree: no agent runs');
  const { clocks } = agent.value.doctor;
  if (clocks.length === 0) return skipped('clock', 'whether clocks agree: no member has said its time yet');
  const off = clocks.filter(({ aheadMs }) => Math.abs(aheadMs) > CLOCK_OFF_MS);
  if (off.length === 0) return ok('clock', `clocks agree with those of ${clocks.length} members`);
  const set = 'set it by NTP (timedatectl set-ntp true)';
  const ahead = off.filter(({ aheadMs }) => aheadMs > 0).length;
  const oneSided = Math.max(ahead, off.length - ahead);
  if (clocks.length > 1 && oneSided * 2 > clocks.length) {
    const middle = off.map(({ aheadMs }) => aheadMs).sort((a, b) => a - b)[off.length >> 1]!;
    return broken(
      'clock',
      `the clock of this machine is ${seconds(middle)} ${middle > 0 ? 'behind' : 'ahead of'} most others'`,
      set,
    );
  }
  const list = off.map(
    ({ name, aheadMs }) => `${name} ${seconds(aheadMs)} ${aheadMs > 0 ? 'ahead' : 'behind'}`,
  );
  return warning('clock', `clocks differ: ${list.join(', ')}`, `where it is wrong, ${set}`);
}

function seconds(ms: number): string {
  return `${(Math.abs(ms) / 1000).toFixed(0)} s`;
}
