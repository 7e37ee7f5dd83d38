import { parseArgs } from 'node:util';
import { SimulatorError } from './errors.ts';
import { type FaultOptions, NO_FAULTS } from './faults.ts';
import { HISTORIES, type History } from './predictor.ts';
import { DEFAULT_WORKLOAD, type WorkloadOptions } from './workload.ts';

export interface SimulatorOptions {
  readonly graphs: readonly string[];
  readonly meshes: readonly string[];
  readonly policies: readonly string[];
  readonly seeds: number;
  /** The first seed. */
  readonly seed: number;
  readonly workload: WorkloadOptions;
  readonly faults: FaultOptions;
  readonly speedError: number;
  readonly memory: boolean;
  readonly heartbeatMs: number | undefined;
  readonly json: boolean;
  readonly out: string | undefined;
  readonly trace: string | undefined;
  readonly figures: boolean;
  readonly help: boolean;
}

const POLICY_NAMES = ['mesh', 'nix', 'nix-tuned'];
const MAX_SEEDS = 10_000;
const MAX_COUNT = 10_000;

export const USAGE = `Usage: npm run sim -- [--graph NAMES] [--mesh NAMES] [--policy NAMES] [--seeds N] [OPTIONS]

  --graph NAMES     recorded graphs, FILE.json[.gz], or wide:N chain:N diamond:N fork-join:N random:N (default git)
  --mesh NAMES      lan4 lan8 lan32 equal4 equal8 or FILE.json (default lan8)
  --policy NAMES    mesh nix nix-tuned (default mesh,nix)
  --seeds N         runs of each (default 5), the first with --seed S (default 1)
  --history KIND    warm, cold or exact (default warm)
  --error SIGMA     of predicted over real durations with a warm history: 1 is a factor e (default 1)
  --speed-error S   of believed over real speeds and links (default 0)
  --scale F         all durations times F (default 1)
  --parallel P      share of builds over a minute that more cores divide (default 0)
  --downloads HOW   home (as agents plan them) or anywhere (as ordinary builds)
  --homes N         machines that submit the graph at once; --apart: each its own derivations
  --straggle SHARE  of attempts that are 3 to 10 times slower; --deaths N (of machines)
  --visits N        of users to their keyboards; --jumps N: all clocks leap, as after a suspend
  --memory          machines run out of memory
  --heartbeat S     seconds between heartbeats (default 3 with deaths, 60 without)
  --figures         the project's figures, written to bench-results/sim.json
  --json            results as JSON on stdout; --out FILE: to a file
  --trace FILE      the last run as a Chrome/Perfetto trace`;

/** @throws {SimulatorError} SIMULATOR_USAGE */
export function parseOptions(args: readonly string[]): SimulatorOptions {
  const values = parse(args);
  const heartbeat =
    values.heartbeat === undefined ? undefined : number('heartbeat', values.heartbeat, 0.1, 1e6);
  return {
    graphs: list('graph', values.graph ?? 'git'),
    meshes: list('mesh', values.mesh ?? 'lan8'),
    policies: list('policy', values.policy ?? 'mesh,nix').map((name) => oneOf('policy', name, POLICY_NAMES)),
    seeds: integer('seeds', values.seeds ?? '5', 1, MAX_SEEDS),
    seed: integer('seed', values.seed ?? '1', 0, Number.MAX_SAFE_INTEGER),
    workload: {
      homes: integer('homes', values.homes ?? '1', 1, MAX_COUNT),
      apart: values.apart ?? false,
      scale: number('scale', values.scale ?? '1', 1e-9, 1e9),
      parallel: number('parallel', values.parallel ?? '0', 0, 1),
      history: oneOf('history', values.history ?? DEFAULT_WORKLOAD.history, HISTORIES) as History,
      error: number('error', values.error ?? '1', 0, 10),
      downloads: oneOf('downloads', values.downloads ?? 'home', ['home', 'anywhere']) as 'home' | 'anywhere',
    },
    faults: {
      deaths: integer('deaths', values.deaths ?? String(NO_FAULTS.deaths), 0, MAX_COUNT),
      visits: integer('visits', values.visits ?? String(NO_FAULTS.visits), 0, MAX_COUNT),
      jumps: integer('jumps', values.jumps ?? String(NO_FAULTS.jumps), 0, MAX_COUNT),
      straggle: number('straggle', values.straggle ?? String(NO_FAULTS.straggle), 0, 1),
    },
    speedError: number('speed-error', values['speed-error'] ?? '0', 0, 10),
    memory: values.memory ?? false,
    heartbeatMs: heartbeat === undefined ? undefined : heartbeat * 1_000,
    json: values.json ?? false,
    out: values.out,
    trace: values.trace,
    figures: values.figures ?? false,
    help: values.help ?? false,
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        graph: text,
        mesh: text,
        policy: text,
        seeds: text,
        seed: text,
        history: text,
        error: text,
        'speed-error': text,
        scale: text,
        parallel: text,
        downloads: text,
        homes: text,
        apart: flag,
        straggle: text,
        deaths: text,
        visits: text,
        jumps: text,
        memory: flag,
        heartbeat: text,
        figures: flag,
        json: flag,
        out: text,
        trace: text,
        help: flag,
      },
    }).values;
  } catch (error) {
    // Every error of parseArgs is about what was typed; its first sentence says what.
    const [reason] = (error as Error).message.split(/\.\s|\n/);
    throw usage(`${reason}; --help lists the options.`);
  }
}

function list(name: string, text: string): string[] {
  const names = text.split(',').filter((each) => each !== '');
  if (names.length === 0) throw usage(`--${name} needs at least one name.`);
  return names;
}

function oneOf(name: string, text: string, known: readonly string[]): string {
  if (!known.includes(text)) throw usage(`--${name} takes ${known.join(', ')}, not "${text}".`);
  return text;
}

function integer(name: string, text: string, least: number, most: number): number {
  const value = number(name, text, least, most);
  if (!Number.isInteger(value)) throw usage(`--${name} takes a whole number, not "${text}".`);
  return value;
}

function number(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= least && value <= most))
    throw usage(`--${name} takes a number from ${least} to ${most}, not "${text}".`);
  return value;
}

function usage(message: string): SimulatorError {
  return new SimulatorError('SIMULATOR_USAGE', message);
}
