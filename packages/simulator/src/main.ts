/** The simulator: `npm run sim -- --help`. */
import { writeFileSync } from 'node:fs';
import { SimulatorError } from './errors.ts';
import { loadGraph, loadMesh, makeScenario, simulate } from './experiment.ts';
import { parseOptions, type SimulatorOptions, USAGE } from './options.ts';
import type { Outcome } from './scenario.ts';
import { type Summary, summarise } from './summary.ts';
import { table } from './table.ts';

const RESULTS_VERSION = 1;

function main(args: readonly string[]): void {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return;
  }
  const summaries = compare(options);
  const results = `${JSON.stringify({ version: RESULTS_VERSION, results: summaries }, null, 2)}\n`;
  if (options.out !== undefined) writeFileSync(options.out, results);
  process.stdout.write(options.json ? results : `${table(summaries).join('\n')}\n`);
}

function compare(options: SimulatorOptions): Summary[] {
  const summaries: Summary[] = [];
  for (const graphName of options.graphs) {
    const graph = loadGraph(graphName, options.seed);
    for (const meshName of options.meshes) {
      const mesh = loadMesh(meshName, graph);
      for (const policy of options.policies) {
        const began = performance.now();
        const outcomes: Outcome[] = [];
        for (let i = 0; i < options.seeds; i++)
          outcomes.push(simulate(makeScenario(graph, mesh, options, options.seed + i), policy));
        const realSeconds = (performance.now() - began) / 1_000;
        const { history } = options.workload;
        const labels = { graph: graph.name, mesh: mesh.name, policy, history, realSeconds };
        summaries.push(summarise(labels, outcomes));
      }
    }
  }
  return summaries;
}

try {
  main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SimulatorError)) throw error;
  process.stderr.write(`sim: ${error.message}\n`);
  process.exitCode = error.code === 'SIMULATOR_STUCK' || error.code === 'SIMULATOR_BROKEN' ? 1 : 2;
}
