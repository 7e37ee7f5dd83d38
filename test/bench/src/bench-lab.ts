import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, Lab, LabMesh, type Report } from '@mesh/lab';
import { BenchError } from './errors.ts';
import { Rival, type RivalKind } from './rival.ts';
import { say } from './say.ts';
import type { Bench } from './scenarios/scenario.ts';
import { type Workload, workloadArgs } from './workload.ts';

export const HOSTS = 3;
export const SLOTS = 2;
/** As for the rivals. */
const TIMEOUT_MS = 600_000;

export interface MeshRun {
  /** From the command's start to its end, as a user would take it. */
  readonly seconds: number;
  readonly report: Report;
}

/** `equal`: hosts alike. `half`: the last one does everything in twice the time. */
export type Shape = 'equal' | 'half';

/** The host of half speed, where there is one. */
export const SLOW_HOST = 'h3';
const SLOW_SPEED = 0.5;
/** In the sandbox of every build: a word for each time that a build's sleep takes there. */
export const PACE_FILE = '/pace';

/** Three hosts in one mesh, and Nix's own distributed building set up on the same three. */
export class BenchLab implements AsyncDisposable, Bench {
  readonly lab: Lab;
  readonly mesh: LabMesh;
  readonly home: Host;
  readonly runs: number;
  readonly #rival: Rival;
  readonly #reports: string | undefined;

  private constructor(lab: Lab, mesh: LabMesh, rival: Rival, runs: number, reports: string | undefined) {
    this.lab = lab;
    this.mesh = mesh;
    this.home = lab.host('h1');
    this.runs = runs;
    this.#rival = rival;
    this.#reports = reports;
  }

  /** @param reports Folder for all job reports of the mesh. */
  static async up(runs: number, reports: string | undefined, shape: Shape = 'equal'): Promise<BenchLab> {
    const paced = shape === 'half' ? { sandboxPaths: [`${PACE_FILE}=/etc/pace`] } : {};
    const lab = await Lab.up({ hosts: HOSTS, slots: SLOTS, sshd: true, ...paced });
    try {
      const [home, ...others] = lab.hosts;
      if (shape === 'half') await slowDown(lab);
      // Whole numbers: what any version of Nix takes.
      const speeds = shape === 'half' ? { h2: 2 } : {};
      const rival = await Rival.setUp(home!, others, SLOTS, speeds);
      const mesh = await LabMesh.up(lab);
      return new BenchLab(lab, mesh, rival, runs, reports);
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  readonly salt = freshSalt;

  readonly told = sayTook;

  /** @returns the seconds it took. */
  async nix(kind: RivalKind, workload: Workload, salt: string): Promise<number> {
    return this.#rival.build(kind, workload, salt);
  }

  /**
   * `mesh build` on the home.
   * @throws {BenchError} `BENCH_BUILD_FAILED`
   */
  async build(workload: Workload, salt: string, options: readonly string[] = []): Promise<MeshRun> {
    const attribute = workload.attribute === undefined ? [] : [workload.attribute];
    const args = ['-f', workload.file, ...attribute, ...workloadArgs(workload, salt), ...options];
    const started = performance.now();
    const { code, stderr, report } = await this.mesh.build(this.home, args, { timeoutMs: TIMEOUT_MS });
    const seconds = (performance.now() - started) / 1000;
    if (code !== 0 || report === undefined || !report.ok) {
      const said = stderr.trim().split('\n').slice(-3).join(' ');
      throw new BenchError(
        'BENCH_BUILD_FAILED',
        `\`mesh build\` of ${workload.file} ended with ${code}: ${said}`,
      );
    }
    this.#keep(report, salt, { seconds, args });
    return { seconds, report };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.down();
  }

  #keep(report: Report, salt: string, more: object): void {
    if (this.#reports === undefined) return;
    mkdirSync(this.#reports, { recursive: true });
    writeFileSync(join(this.#reports, `${salt}.json`), JSON.stringify({ ...more, ...report }, undefined, 1));
  }
}

let salts = 0;

/** Never the same twice, not even in another run of the benchmark. */
export function freshSalt(): string {
  return `${process.pid}-${Date.now()}-${salts++}`;
}

export function sayTook(name: string, seconds: number): void {
  say(`  ${name}: ${seconds.toFixed(2)} s`);
}

/** The quota slows what computes, agent and daemon too; builds that sleep know of no quota and are told their pace. */
async function slowDown(lab: Lab): Promise<void> {
  for (const host of lab.hosts) {
    const isSlow = host.name === SLOW_HOST;
    await host.writeFile('/etc/pace', isSlow ? '1 2\n' : '1\n');
    if (isSlow) host.cpu(SLOW_SPEED);
  }
}

/** The hosts as a bound sees them. */
export function machinesOf(shape: Shape): { slots: number; speed: number }[] {
  return Array.from({ length: HOSTS }, (_, i) => ({
    slots: SLOTS,
    speed: shape === 'half' && `h${i + 1}` === SLOW_HOST ? SLOW_SPEED : 1,
  }));
}
