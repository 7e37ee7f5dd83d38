import { type Host, Lab, LabMesh, until } from '@mesh/lab';
import { HOSTS, SLOTS } from '../bench-lab.ts';
import { figure } from '../figure.ts';
import type { Scenario } from './scenario.ts';

const REQUIRED_S = 2;
const TIMEOUT_MS = 30_000;

/**
 * A new agent has its certificate when `mesh join` returns. It is a usable member when every host lists it as connected and
 * knows its slots, and it every other. Measured with the command, so the command's own time is in it.
 */
export const join: Scenario = {
  name: 'join',
  title: 'a new agent joins',
  async measure(bench) {
    const runs: number[] = [];
    for (let run = 0; run < bench.runs; run++) {
      const took = await joinOnce();
      runs.push(took);
      bench.told('mesh', took);
    }
    return [figure('join', 'certificate to usable member seen by all', 's', runs, { required: REQUIRED_S })];
  },
};

/** A mesh of two in a lab of its own, and a third host that is new to it. */
async function joinOnce(): Promise<number> {
  await using lab = await Lab.up({ hosts: HOSTS, slots: SLOTS });
  const mesh = await LabMesh.up(lab, { join: false });
  const [first, second, third] = lab.hosts as [Host, Host, Host];
  await mesh.join(second, first);
  await mesh.untilConnected([first, second]);
  await mesh.join(third, first);
  const started = performance.now();
  await Promise.all(lab.hosts.map((host) => untilAllUsable(mesh, host)));
  return (performance.now() - started) / 1000;
}

async function untilAllUsable(mesh: LabMesh, host: Host): Promise<void> {
  await until(`${host.name} to see all members`, TIMEOUT_MS, async () => {
    const { members } = await mesh.peers(host);
    const usable = members.filter(({ connected, self, slots }) => (connected || self) && slots !== null);
    return usable.length === HOSTS ? true : undefined;
  });
}
