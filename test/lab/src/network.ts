import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { LabError } from './errors.ts';

const run = promisify(execFile);

/** Runs one of the machine's network tools in the network namespace of process `pid`. */
async function inNetwork(pid: number, command: readonly string[]): Promise<void> {
  try {
    await run('nsenter', ['-t', String(pid), '-n', '--', ...command]);
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() ?? String(error);
    throw new LabError('LAB_COMMAND_FAILED', `\`${command.join(' ')}\` in the lab's network failed: ${said}`);
  }
}

/** The bridge of a lab, seen from its supervisor: where the cables of all hosts end. */
export class Bridge {
  readonly #supervisor: number;

  constructor(supervisor: number) {
    this.#supervisor = supervisor;
  }

  async setLink(port: string, state: 'up' | 'down'): Promise<void> {
    await inNetwork(this.#supervisor, ['ip', 'link', 'set', port, state]);
  }

  /** Spoils, or with undefined mends, both directions of one host's cable. `init` is the host's. */
  async shape(port: string, init: number, netem: string | undefined): Promise<void> {
    const words = netem?.trim().split(/\s+/);
    await Promise.all(
      [[this.#supervisor, port] as const, [init, 'eth0'] as const].map(async ([pid, device]) => {
        // `replace` first, so that `del` finds something to delete.
        await inNetwork(pid, ['tc', 'qdisc', 'replace', 'dev', device, 'root', 'netem', ...(words ?? [])]);
        if (words === undefined) await inNetwork(pid, ['tc', 'qdisc', 'del', 'dev', device, 'root']);
      }),
    );
  }

  /** Joins each group of ports by a bridge of its own: nothing passes between groups, not even a refusal. */
  async partition(groups: readonly (readonly string[])[]): Promise<void> {
    for (const [number, ports] of groups.entries()) {
      const bridge = `br${number}`;
      await inNetwork(this.#supervisor, [
        'sh',
        '-ec',
        'b=$1; shift; ip link show "$b" >/dev/null 2>&1 || ip link add "$b" type bridge mcast_snooping 0; ' +
          'ip link set "$b" up; for p; do ip link set "$p" master "$b"; done',
        'sh',
        bridge,
        ...ports,
      ]);
    }
  }
}
