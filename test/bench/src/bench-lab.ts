import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, Lab, LabMesh, type Report } from '@mesh/lab';
import { BenchError } from './errors.ts';
import { Rival, type RivalKind } from './rival.ts';
import { say } from './say.ts';
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

/** Three hosts in one mesh, and Nix's own distributed building set up on the same three. */
export class BenchLab implements AsyncDisposable {
  readonly lab: Lab;
  readonly mesh: LabMesh;
  readonly home: Host;
  readonly runs: number;
  readonly #rival: Rival;
  readonly #reports: string | undefined;
  #salts = 0;

  private constructor(lab: Lab, mesh: LabMesh, rival: Rival, runs: number, reports: string | undefined) {
    this.lab = lab;
    this.mesh = mesh;
    this.home = lab.host('h1');
    this.runs = runs;
    this.#rival = rival;
    this.#reports = reports;
  }

  /** @param reports Folder for all job reports of the mesh. */
  static async up(runs: number, reports: string | undefined): Promise<BenchLab> {
    const lab = await Lab.up({ hosts: HOSTS, slots: SLOTS, sshd: true });
    try {
      const [home, ...others] = lab.hosts;
      const rival = await Rival.setUp(home!, others, SLOTS);
      const mesh = await LabMesh.up(lab);
      return new BenchLab(lab, mesh, rival, runs, reports);
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  /** Never the same twice, not even in another run of the benchmark. */
  readonly salt = (): string => `${process.pid}-${Date.now()}-${this.#salts++}`;

  readonly told = (name: string, seconds: number): void => say(`  ${name}: ${seconds.toFixed(2)} s`);

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
