/**
 * What planning costs: `node --expose-gc --conditions=@mesh/source packages/schedule/src/plan.bench.ts [GRAPH.json.gz]`. Prints how
 * long a home takes from the whole of a large graph to its first lease and how much memory that is, what a decision costs with
 * 1,000 workers, and how many a second it makes with 8; ends with 1 where a figure is missed.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { stepHome } from './home.ts';
import type { HomeEffect, HomeEvent } from './home-protocol.ts';
import { type HomeState, initialHome } from './home-state.ts';
import type { DerivationNode, WorkerInfo } from './types.ts';

type Grant = Extract<HomeEffect, { type: 'grant' }>;

const FIRST_LEASE_MS = 3_000;
const MEMORY_BYTES = 2 ** 30;
const DECISION_US = 1_000;
const DECISIONS_PER_SECOND = 50_000;

const MANY_WORKERS = 1_000;
const FEW_WORKERS = 8;
const SLOTS = 8;
/** Decisions timed, and for how long at most. */
const MEASURED = 20_000;
const PATIENCE_MS = 30_000;
const LARGEST = join(import.meta.dirname, '../../../test/dags/guix-all.json.gz');

interface Recorded {
  readonly names: readonly string[];
  readonly deps: readonly (readonly number[])[];
  readonly cpuSeconds: readonly (number | null)[];
  readonly outBytes: readonly (number | null)[];
}

/** All for one system, so that any worker may get any of them: the hardest choice. */
function nodesOf(graph: Recorded): DerivationNode[] {
  // Out of a buffer, as when read from a `.drv`: each its own flat string.
  const path = (i: number) =>
    Buffer.from(`/nix/store/${String(i).padStart(32, '0')}-${graph.names[i]}.drv`).toString();
  return graph.names.map((name, i) => ({
    drvPath: path(i),
    name,
    system: 'x86_64-linux',
    requiredFeatures: [],
    dependencies: graph.deps[i]!.map(path),
    place: 'anywhere',
    predictedMs: 1_000 * (graph.cpuSeconds[i] ?? 0.05),
    history: { basis: 'name', samples: 3, spread: 0.5, outputBytes: graph.outBytes[i] ?? 0 },
    outputs: [path(i).slice(0, -'.drv'.length)],
  }));
}

function workerOf(n: number): WorkerInfo {
  return {
    peerId: `w${n}`,
    name: `worker-${n}`,
    isHome: n === 0,
    systems: ['x86_64-linux'],
    features: [],
    slots: SLOTS,
    cores: SLOTS,
    speed: 0.5 + (n % 16) / 10,
    linkBytesPerMs: 100_000,
  };
}

class Bench {
  readonly state: HomeState = initialHome({ self: 'w0', incarnation: 'bench' });
  readonly open: Grant[] = [];
  grants = 0;
  /** Milliseconds spent in steps. */
  spentMs = 0;
  #request = 0;
  #now = 0;

  /** Time goes on by this much with each step. */
  step(
    event: HomeEvent extends infer E ? (E extends unknown ? Omit<E, 'now'> : never) : never,
    byMs = 0,
  ): void {
    this.#now += byMs;
    const began = performance.now();
    const { effects } = stepHome(this.state, { ...event, now: this.#now } as HomeEvent);
    this.spentMs += performance.now() - began;
    for (const effect of effects) {
      if (effect.type !== 'grant') continue;
      this.open.push(effect);
      this.grants++;
    }
  }

  submit(nodes: readonly DerivationNode[]): void {
    this.step({ type: 'job-added', job: 'bench', options: { keepGoing: false } });
    this.step({ type: 'derivations-added', job: 'bench', derivations: nodes });
    this.step({ type: 'job-sealed', job: 'bench' });
  }

  addWorker(n: number): void {
    this.step({ type: 'worker-up', worker: workerOf(n) });
  }

  park(peerId: string): void {
    this.step({ type: 'steal', peerId, request: `r${this.#request++}`, ahead: false });
  }

  /** The oldest lease ends, and its worker asks for more. */
  finishOne(outputs: ReadonlyMap<string, DerivationNode>): boolean {
    const grant = this.open.shift();
    if (grant === undefined) return false;
    const { peerId, lease, attempt, drvPath } = grant;
    const node = outputs.get(drvPath)!;
    this.step({ type: 'started', peerId, lease, attempt });
    const built = [{ name: 'out', path: node.outputs[0]!, narBytes: node.history?.outputBytes ?? 0 }];
    this.step({ type: 'result', peerId, lease, attempt, outcome: { type: 'built', outputs: built } }, 1);
    this.park(peerId);
    return true;
  }
}

function load(file: string): DerivationNode[] {
  const loading = performance.now();
  const graph = JSON.parse(gunzipSync(readFileSync(file)).toString()) as Recorded;
  const nodes = nodesOf(graph);
  const edges = graph.deps.reduce((sum, deps) => sum + deps.length, 0);
  const tookMs = performance.now() - loading;
  say(`${nodes.length} derivations, ${edges} edges, loaded in ${tookMs.toFixed(0)} ms`);
  return nodes;
}

function measurePlanning(nodes: readonly DerivationNode[]): void {
  global.gc?.();
  const before = process.memoryUsage().heapUsed;
  const first = new Bench();
  const planning = performance.now();
  first.addWorker(0);
  first.park('w0');
  first.submit(nodes);
  const toFirstLease = performance.now() - planning;
  if (first.grants === 0) throw new Error('No lease was granted.');
  const peak = process.memoryUsage().heapUsed - before;
  global.gc?.();
  const kept = process.memoryUsage().heapUsed - before;

  judge('graph to first lease', toFirstLease, 'ms', toFirstLease <= FIRST_LEASE_MS, `<= ${FIRST_LEASE_MS}`);
  judge('memory for it, at most', peak / 2 ** 20, 'MiB', peak <= MEMORY_BYTES, '<= 1024');
  judge('memory that stays', kept / 2 ** 20, 'MiB', kept <= MEMORY_BYTES, '<= 1024');
}

/** Builds end one after the other with half of all slots taken, and each time the next is placed. */
function measureDecisions(
  nodes: readonly DerivationNode[],
  workers: number,
): { us: number[]; perSecond: number } {
  const byPath = new Map(nodes.map((node) => [node.drvPath, node]));
  const bench = new Bench();
  for (let n = 0; n < workers; n++) bench.addWorker(n);
  bench.submit(nodes);
  for (let slot = 0; slot < SLOTS / 2; slot++) for (let n = 0; n < workers; n++) bench.park(`w${n}`);
  bench.grants = 0;
  bench.spentMs = 0;
  const us: number[] = [];
  while (bench.grants < MEASURED && bench.spentMs < PATIENCE_MS) {
    const spent = bench.spentMs;
    if (!bench.finishOne(byPath)) break;
    us.push(1_000 * (bench.spentMs - spent));
  }
  return { us: us.sort((a, b) => a - b), perSecond: (1_000 * bench.grants) / bench.spentMs };
}

function measure(file: string): void {
  const nodes = load(file);
  measurePlanning(nodes);
  const many = measureDecisions(nodes, MANY_WORKERS);
  for (const share of [0.5, 0.99]) {
    const us = many.us[Math.floor(many.us.length * share)] ?? 0;
    const title = `a build ends and the next is placed, ${MANY_WORKERS} workers, quantile ${share}`;
    judge(title, us, 'us', us <= DECISION_US, `<= ${DECISION_US}`);
  }
  const { perSecond } = measureDecisions(nodes, FEW_WORKERS);
  const title = `leases granted, ${FEW_WORKERS} workers`;
  judge(title, perSecond, '/s', perSecond >= DECISIONS_PER_SECOND, `>= ${DECISIONS_PER_SECOND}`);
}

function judge(what: string, value: number, unit: string, met: boolean, required: string): void {
  say(`${met ? 'met   ' : 'MISSED'}  ${what}: ${value.toFixed(1)} ${unit} (${required})`);
  if (!met) process.exitCode = 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

measure(process.argv[2] ?? LARGEST);
