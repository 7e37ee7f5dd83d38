import { type Host, Lab, LabMesh } from '@mesh/lab';
import { BenchError } from './errors.ts';
import { peakResidentBytes, resetPeakResidentBytes, residentBytes } from './process-usage.ts';

/** The ways Nix itself copies a path from one host to another, and the plainest there is: files of a cache from one HTTP server. */
export const COPIERS = {
  'ssh-ng': 'nix copy --from ssh-ng',
  'ssh-ng-push': 'nix copy --to ssh-ng',
  ssh: 'nix copy --from ssh',
  http: 'nix copy --from HTTP',
} as const;
export type Copier = keyof typeof COPIERS;

/** What some work took. */
export interface Cost {
  /** From the command's start to its end, as a user would take it. */
  readonly seconds: number;
  /** Processor time of all processes of all hosts. */
  readonly processor: number;
}

const TIMEOUT_MS = 300_000;
const CACHE = '/var/cache/bench';
const CACHE_PORT = 8080;
/** Connections close and daemons' children end after the command, and their last processor time counts. */
const SETTLE_MS = 300;

/** Hosts with an agent each, in one mesh. */
export class ClosureLab implements AsyncDisposable {
  readonly lab: Lab;
  readonly mesh: LabMesh;

  private constructor(lab: Lab, mesh: LabMesh) {
    this.lab = lab;
    this.mesh = mesh;
  }

  static async up(hosts: number): Promise<ClosureLab> {
    const lab = await Lab.up({ hosts, sshd: true });
    try {
      return new ClosureLab(lab, await LabMesh.up(lab));
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  /** The host that closures are made on, and come from. */
  get source(): Host {
    return this.lab.host('h1');
  }

  /** Brings a closure that the source has to another host, by the mesh. */
  async warm(to: Host, path: string): Promise<void> {
    await this.mesh.run(to, ['cache', 'warm', path], { timeoutMs: TIMEOUT_MS });
  }

  /** Makes ready what a copier serves a path from; nobody is to measure this. */
  async offer(copier: Copier, path: string): Promise<void> {
    if (copier !== 'http') return;
    const { source } = this;
    await source.exec(['nix', 'copy', '--to', `file://${CACHE}?compression=none`, path], {
      timeoutMs: TIMEOUT_MS,
    });
    if (source.processes().some(({ args }) => args[1] === 'httpd')) return;
    source.spawn(['busybox', 'httpd', '-f', '-p', String(CACHE_PORT), '-h', CACHE]);
  }

  /** Undoes {@link offer}. */
  async withdraw(): Promise<void> {
    await this.source.exec(['sh', '-c', `rm -rf ${CACHE}/*`]);
  }

  /** `nix copy` of a closure from the source to another host. */
  async copy(copier: Copier, to: Host, path: string): Promise<void> {
    const { name } = this.source;
    const [on, ...way] = {
      'ssh-ng': [to, '--from', `ssh-ng://${name}`] as const,
      'ssh-ng-push': [this.source, '--to', `ssh-ng://${to.name}`] as const,
      ssh: [to, '--from', `ssh://${name}`] as const,
      http: [to, '--from', `http://${name}:${CACHE_PORT}`] as const,
    }[copier];
    await on.exec(['nix', 'copy', '--no-check-sigs', ...way, path], { timeoutMs: TIMEOUT_MS });
  }

  /** Runs some work, and checks that it was done: the path is valid on the host afterwards, and was not before. */
  async cost(to: Host, path: string, work: () => Promise<void>): Promise<Cost> {
    const processor = () => this.lab.hosts.reduce((sum, host) => sum + host.processorSeconds(), 0);
    if (await isValid(to, path))
      throw new BenchError('BENCH_NOT_COPIED', `${path} is on ${to.name} already.`);
    const before = processor();
    const started = performance.now();
    await work();
    const seconds = (performance.now() - started) / 1000;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const spent = processor() - before;
    if (!(await isValid(to, path)))
      throw new BenchError('BENCH_NOT_COPIED', `${path} did not come to ${to.name}.`);
    return { seconds, processor: spent };
  }

  /** The one process of a host that is `mesh agent`, under whatever Node runs it. */
  agentPid(host: Host): number {
    const agent = host.processes().find(({ args }) => args.includes('agent') && args[0]?.endsWith('node'));
    if (agent === undefined) throw new Error(`No agent runs on ${host.name}.`);
    return agent.pid;
  }

  /** What each host's agent took of memory at most during some work beyond what it had before, in bytes. */
  async peaks(hosts: readonly Host[], work: () => Promise<void>): Promise<number[]> {
    const pids = hosts.map((host) => this.agentPid(host));
    const before = pids.map(residentBytes);
    for (const pid of pids) resetPeakResidentBytes(pid);
    await work();
    return pids.map((pid, index) => peakResidentBytes(pid) - before[index]!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.down();
  }
}

export async function isValid(host: Host, path: string): Promise<boolean> {
  return (await host.exec(['nix-store', '--check-validity', path], { check: false })).code === 0;
}
