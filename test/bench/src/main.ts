/**
 * The benchmark: `npm run bench`. The mesh and Nix's own distributed building do the same work in the same lab, by turns.
 * Ends with 0 when everything was measured, whether or not a figure is met.
 */
import { join } from 'node:path';
import { nixVersionOf, repositoryRoot } from '@mesh/lab';
import { BenchLab, freshSalt, HOSTS, SLOTS, SLOW_HOST, sayTook } from './bench-lab.ts';
import type { Figure } from './figure.ts';
import { describeMachine } from './machine.ts';
import { parseOptions } from './options.ts';
import { RESULTS_VERSION, writeResults } from './results.ts';
import { RIVALS } from './rival.ts';
import { say } from './say.ts';
import { SCENARIOS } from './scenarios/index.ts';
import { table } from './table.ts';

async function main(args: readonly string[]): Promise<void> {
  const options = parseOptions(
    args,
    SCENARIOS.map(({ name }) => name),
  );
  const { runs, only } = options;
  const machine = describeMachine();
  const startedAt = new Date().toISOString();
  const figures: Figure[] = [];
  const wanted = SCENARIOS.filter(({ name }) => only.length === 0 || only.includes(name));
  for (const scenario of wanted) {
    if (scenario.shape !== 'own') continue;
    say(`${scenario.name}: ${scenario.title}`);
    figures.push(...(await scenario.measure({ runs, salt: freshSalt, told: sayTook })));
  }
  const shared = wanted.filter((scenario) => scenario.shape !== 'own');
  for (const [shape, scenarios] of Map.groupBy(shared, (scenario) => scenario.shape ?? 'equal')) {
    const slow = shape === 'half' ? `, ${SLOW_HOST} at half speed` : '';
    say(`Starting ${HOSTS} hosts of ${SLOTS} slots each${slow}, with an agent on each...`);
    await using bench = await BenchLab.up(runs, options.reports, shape);
    for (const scenario of scenarios) {
      say(`${scenario.name}: ${scenario.title}`);
      figures.push(...(await scenario.measure(bench)));
    }
  }
  const out = options.out ?? (only.length > 0 ? undefined : join(repositoryRoot, 'bench-results/bench.json'));
  if (out !== undefined) {
    const nix = nixVersionOf('sid');
    const results = { version: RESULTS_VERSION, startedAt, machine, nix, runs, figures } as const;
    writeResults(out, { ...results, hosts: HOSTS, slotsPerHost: SLOTS });
    say(`Written to ${out}.`);
  }
  process.stdout.write(`${table(figures, Object.values(RIVALS)).join('\n')}\n`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
