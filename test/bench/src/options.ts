import { parseArgs } from 'node:util';
import { BenchError } from './errors.ts';

export interface BenchOptions {
  /** How often each contestant does each work. */
  readonly runs: number;
  /** Names of the scenarios to run, in their own order. */
  readonly only: readonly string[];
  /** Where the results go; undefined is `bench-results/bench.json` of the checkout, and nowhere with `--only`. */
  readonly out: string | undefined;
  /** Folder for the job reports of all the mesh's builds, to see where time went. */
  readonly reports: string | undefined;
}

const DEFAULT_RUNS = 3;
/** More says nothing that these do not, and a run of everything takes minutes. */
const MAX_RUNS = 100;

/** @throws {BenchError} `BENCH_USAGE` */
export function parseOptions(args: readonly string[], scenarios: readonly string[]): BenchOptions {
  const { values } = parse(args);
  const runs = Number(values.runs ?? DEFAULT_RUNS);
  if (!Number.isInteger(runs) || runs < 1 || runs > MAX_RUNS) {
    throw new BenchError('BENCH_USAGE', `--runs takes a number from 1 to ${MAX_RUNS}, not ${values.runs}.`);
  }
  const only = values.only ?? [];
  const unknown = only.find((name) => !scenarios.includes(name));
  if (unknown !== undefined) {
    throw new BenchError('BENCH_USAGE', `--only ${unknown} is unknown; there are ${scenarios.join(', ')}.`);
  }
  return { runs, only, out: values.out, reports: values.reports };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        runs: { type: 'string' },
        only: { type: 'string', multiple: true },
        out: { type: 'string' },
        reports: { type: 'string' },
      },
    });
  } catch (error) {
    // Every error of parseArgs is about what was typed.
    const reason = (error as Error).message.split('\n')[0];
    const usage = 'npm run bench -- [--runs N] [--only NAME]... [--out FILE] [--reports DIR]';
    throw new BenchError('BENCH_USAGE', `${reason} Usage: ${usage}`);
  }
}
