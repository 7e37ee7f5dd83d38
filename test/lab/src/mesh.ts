import { readFileSync } from 'node:fs';
import type { ExecOptions, ExecResult, HostProcess } from './command.ts';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { ignoreSharedLoad } from './shared-load.ts';
import { until } from './wait.ts';

/** As `mesh peers --json` prints it; only what tests ask for. */
export interface Peers {
  meshId: string;
  members: {
    name: string;
    peerId: string;
    self: boolean;
    connected: boolean;
    addresses: string[];
    systems: string[];
    slots: number | null;
  }[];
  strangers: { peerId: string }[];
}

/** As `--report FILE` writes it. */
export interface Report {
  version: number;
  job: string;
  ok: boolean;
  wallMs: number;
  lowerBoundMs: number;
  criticalPath: string[];
  bytesFetched: number;
  /** How often, and how long, a slot at home was idle though something ready would have ended there first. */
  homeIdle?: { count: number; ms: number } | undefined;
  peers: { name: string; builds: number; busyMs: number; bytesIn: number; bytesOut: number }[];
  derivations: {
    drvPath: string;
    name: string;
    peer: string | null;
    attempt: number;
    readyMs: number | null;
    leasedMs: number | null;
    fetchedMs: number | null;
    startedMs: number | null;
    finishedMs: number | null;
    outcome: string;
    why: string;
  }[];
}

export interface MeshOptions {
  /** Further arguments of `mesh agent`, by host name or for all. */
  readonly agentArgs?: (host: Host) => readonly string[];
  /** Whether the hosts join one mesh (default), or each stays a mesh of one. */
  readonly join?: boolean;
  /** Hosts that get an agent; all by default. */
  readonly hosts?: readonly Host[];
}

const UP_TIMEOUT_MS = 30_000;

/** Agents on the hosts of a lab, and the `mesh` command run there. The agents end with their hosts. */
export class LabMesh {
  readonly lab: Lab;
  readonly agents = new Map<string, HostProcess>();
  readonly #options: MeshOptions;

  private constructor(lab: Lab, options: MeshOptions) {
    this.lab = lab;
    this.#options = options;
  }

  /** Starts an agent on every host; the first founds the mesh, the others join by tickets; returns when all see all. */
  static async up(lab: Lab, options: MeshOptions = {}): Promise<LabMesh> {
    const mesh = new LabMesh(lab, options);
    const hosts = options.hosts ?? lab.hosts;
    await Promise.all(hosts.map((host) => mesh.startAgent(host)));
    if (options.join !== false) {
      const [first, ...others] = hosts;
      for (const host of others) await mesh.join(host, first!);
      await mesh.untilConnected(hosts);
    }
    return mesh;
  }

  /** Runs `mesh agent` in the background; returns when its local API answers. */
  async startAgent(host: Host): Promise<HostProcess> {
    const args = this.#options.agentArgs?.(host) ?? [];
    await ignoreSharedLoad(host);
    const agent = host.spawn(['mesh', 'agent', '--name', host.name, ...args]);
    this.agents.set(host.name, agent);
    await until(`the agent on ${host.name}`, UP_TIMEOUT_MS, async () => {
      const { code } = await this.run(host, ['status'], { check: false });
      if (code === 0) return true;
      return undefined;
    });
    return agent;
  }

  /** `mesh ARGS` on a host. */
  run(host: Host, args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return host.exec(['mesh', ...args], options);
  }

  /** Takes `host` into the mesh of `inviter`. */
  async join(host: Host, inviter: Host): Promise<void> {
    const { stdout: ticket } = await this.run(inviter, ['invite']);
    await this.run(host, ['join'], { input: ticket });
  }

  async peers(host: Host): Promise<Peers> {
    return JSON.parse((await this.run(host, ['peers', '--json'])).stdout) as Peers;
  }

  /** Waits until every host (or those given) is connected with every other. */
  async untilConnected(hosts: readonly Host[] = this.lab.hosts): Promise<void> {
    for (const host of hosts) {
      await until(`${host.name} to be connected with all`, UP_TIMEOUT_MS, async () => {
        const { members } = await this.peers(host);
        const connected = members.filter((member) => member.connected).map((member) => member.name);
        return hosts.every((other) => connected.includes(other.name)) ? true : undefined;
      });
    }
  }

  /**
   * `mesh build ARGS` on a host with a report; no result link unless `args` ask for one. Does not throw for a failed build: look at
   * `code` and `stderr`.
   */
  async build(
    host: Host,
    args: readonly string[],
    options: ExecOptions = {},
  ): Promise<ExecResult & { report: Report | undefined }> {
    const file = `/root/report-${process.pid}-${Math.random().toString(36).slice(2)}.json`;
    const link = args.includes('-o') || args.includes('--out-link') ? [] : ['--no-link'];
    const result = await this.run(host, ['build', ...args, ...link, '--report', file], {
      check: false,
      timeoutMs: 170_000,
      ...options,
    });
    return { ...result, report: readReport(`${host.root}${file}`) };
  }
}

function readReport(path: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report;
  } catch (error) {
    // A build that was refused before it began writes none.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
