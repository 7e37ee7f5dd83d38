/** The simulator: `npm run sim -- --help`. Ends with 2 when asked for something wrong, with 1 when a simulated rule was broken. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SimulatorError } from './errors.ts';
import { loadGraph, loadMesh, repeat } from './experiment.ts';
import { judge, measureFigures } from './figures.ts';
import { parseOptions, type SimulatorOptions, USAGE } from './options.ts';
import { perfettoTrace } from './perfetto-trace.ts';
import type { Outcome, Scenario } from './scenario.ts';
import type { Summary } from './summary.ts';
import { figureTable, table } from './table.ts';

/** Of the files written. */
const RESULTS_VERSION = 1;
const FIGURES_FILE = join(import.meta.dirname, '../../../bench-results/sim.json');

function main(args: readonly string[]): void {
  const options = parseOptions(args);
  if (options.help) process.stdout.write(`${USAGE}\n`);
  else if (options.figures) figures(options);
  else compare(options);
}

function compare(options: SimulatorOptions): void {
  const summaries: Summary[] = [];
  let last: { scenario: Scenario; outcome: Outcome } | undefined;
  for (const graphName of options.graphs) {
    const graph = loadGraph(graphName, options.seed);
    for (const meshName of options.meshes) {
      const mesh = loadMesh(meshName, graph);
      for (const policy of options.policies) {
        const { seeds, seed: firstSeed } = options;
        const what = { graph, mesh, policy, conditions: options, seeds, firstSeed };
        summaries.push(repeat(what, (scenario, outcome) => (last = { scenario, outcome })));
      }
    }
  }
  if (options.trace !== undefined && last !== undefined) {
    const { mesh, workload } = last.scenario;
    write(options.trace, JSON.stringify(perfettoTrace(last.outcome.spans, mesh, workload)));
  }
  const results = jsonOf({ results: summaries });
  if (options.out !== undefined) write(options.out, results);
  process.stdout.write(options.json ? results : `${table(summaries).join('\n')}\n`);
}

function figures(options: SimulatorOptions): void {
  const summaries = measureFigures(
    options.seeds,
    options.seed,
    ({ graph, mesh, history, policy, meanRatio }) =>
      process.stderr.write(`sim: ${graph} ${mesh} ${history} ${policy}: ${meanRatio.toFixed(3)}\n`),
  );
  const judged = judge(summaries);
  const results = jsonOf({ seeds: options.seeds, figures: judged, results: summaries });
  write(options.out ?? FIGURES_FILE, results);
  const text = `${[...table(summaries), '', ...figureTable(judged)].join('\n')}\n`;
  process.stdout.write(options.json ? results : text);
}

function jsonOf(results: object): string {
  return `${JSON.stringify({ version: RESULTS_VERSION, ...results }, null, 2)}\n`;
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new SimulatorError('SIMULATOR_USAGE', `${path} cannot be written: ${(error as Error).message}`);
  }
}

try {
  main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SimulatorError)) throw error;
  process.stderr.write(`sim: ${error.message}\n`);
  process.exitCode = error.code === 'SIMULATOR_STUCK' || error.code === 'SIMULATOR_BROKEN' ? 1 : 2;
}
