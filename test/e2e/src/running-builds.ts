import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, until } from '@mesh/lab';

/** Between two looks at all processes of the machine, which cost some milliseconds of processor time. */
const LOOK_AGAIN_MS = 50;

/** Builds of `endless` and `wide` sleep: so many run on a host, as its processes say. */
export function sleepingBuilds(host: Host): number {
  return host.buildProcesses().filter(({ name }) => name === 'sleep').length;
}

/** Waits until every host runs at least so many sleeping builds. */
export async function untilBuilding(hosts: readonly Host[], builds = 1): Promise<void> {
  const names = hosts.map(({ name }) => name).join(', ');
  await look(`builds on ${names}`, 60_000, () => hosts.every((host) => sleepingBuilds(host) >= builds));
}

/** Waits until no process of any build is left on the hosts that are up; says how long that took, in milliseconds. */
export async function untilNoBuilds(hosts: readonly Host[], withinMs: number): Promise<number> {
  const startMs = performance.now();
  await look(`the end of all builds on ${hosts.map(({ name }) => name).join(', ')}`, withinMs, () =>
    hosts.every((host) => !host.isUp || host.buildProcesses().length === 0),
  );
  return performance.now() - startMs;
}

async function look(what: string, timeoutMs: number, holds: () => boolean): Promise<void> {
  await until(what, timeoutMs, async () => {
    if (holds()) return true;
    await sleep(LOOK_AGAIN_MS);
    return undefined;
  });
}
