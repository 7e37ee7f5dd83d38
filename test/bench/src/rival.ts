import type { Host } from '@mesh/lab';
import { BenchError } from './errors.ts';
import { type Workload, workloadArgs } from './workload.ts';

/** The ways Nix itself can build: at home only, by its own distributed building as it comes, and as one tunes it. */
export const RIVALS = { local: 'Nix, home alone', stock: 'Nix, stock', tuned: 'Nix, tuned' } as const;
export type RivalKind = keyof typeof RIVALS;

/** Nix's `speedFactor` of builders by name, where it is not 1: for whoever tunes. */
export type SpeedFactors = Readonly<Record<string, number>>;

/** A suffix of a builder's name for connections that are kept and shared. */
const SHARED = '-shared';
const MACHINES = { stock: '/etc/nix/machines-stock', tuned: '/etc/nix/machines-tuned' } as const;
/** A rival with 31 derivations at half a second, or a graph of 75 s on a machine that is busy. */
const TIMEOUT_MS = 600_000;

/** Nix's own distributed building on the hosts of the lab: the home's slots and all other hosts as `ssh-ng://` builders. */
export class Rival {
  readonly #home: Host;

  private constructor(home: Host) {
    this.#home = home;
  }

  /** Writes the machines files (speeds into the tuned one) and SSH's configuration. Where the mesh builds, `/etc/nix/machines` itself stays absent. */
  static async setUp(
    home: Host,
    builders: readonly Host[],
    slots: number,
    speeds: SpeedFactors = {},
  ): Promise<Rival> {
    const names = builders.map(({ name }) => name);
    await home.writeFile('/root/.ssh/config', sshConfig(names));
    await home.writeFile(MACHINES.stock, machines(names, slots, {}));
    await home.writeFile(
      MACHINES.tuned,
      machines(
        names.map((name) => name + SHARED),
        slots,
        Object.fromEntries(Object.entries(speeds).map(([name, speed]) => [name + SHARED, speed])),
      ),
    );
    return new Rival(home);
  }

  /**
   * `nix-build` as root on the home.
   * @returns the seconds it took.
   * @throws {BenchError} `BENCH_BUILD_FAILED`, or `BENCH_NOT_REMOTE` where no builder was used that should have been.
   */
  async build(kind: RivalKind, workload: Workload, salt: string): Promise<number> {
    const attribute = workload.attribute === undefined ? [] : ['-A', workload.attribute];
    const command = [
      'nix-build',
      workload.file,
      ...attribute,
      ...workloadArgs(workload, salt),
      '--no-out-link',
    ];
    const started = performance.now();
    const { code, stderr } = await this.#home.exec([...command, ...optionsOf(kind)], {
      check: false,
      timeoutMs: TIMEOUT_MS,
    });
    const seconds = (performance.now() - started) / 1000;
    if (code !== 0) {
      const said = stderr.trim().split('\n').slice(-3).join(' ');
      throw new BenchError('BENCH_BUILD_FAILED', `nix-build (${RIVALS[kind]}) ended with ${code}: ${said}`);
    }
    if (kind !== 'local' && !stderr.includes("on 'ssh-ng://")) {
      throw new BenchError(
        'BENCH_NOT_REMOTE',
        `${RIVALS[kind]} built nothing on its builders; see its machines file.`,
      );
    }
    return seconds;
  }
}

function optionsOf(kind: RivalKind): string[] {
  if (kind === 'local') return ['--builders', ''];
  const stock = ['--builders', `@${MACHINES[kind]}`];
  if (kind === 'stock') return stock;
  return [...stock, '--option', 'build-poll-interval', '1', '--option', 'builders-use-substitutes', 'true'];
}

function machines(names: readonly string[], slots: number, speeds: SpeedFactors): string {
  return names
    .map((name) => `ssh-ng://${name} - /root/.ssh/id_ed25519 ${slots} ${speeds[name] ?? 1} - - -\n`)
    .join('');
}

/** Stock builders go by their names; the same hosts under a second name share one kept connection each. */
function sshConfig(names: readonly string[]): string {
  return names
    .map(
      (name) => `Host ${name}${SHARED}
  HostName ${name}
  HostKeyAlias ${name}
  ControlMaster auto
  ControlPath /run/ssh-%C
  ControlPersist 600
`,
    )
    .join('');
}
