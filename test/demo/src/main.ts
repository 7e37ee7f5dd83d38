/**
 * The demo: `npm run demo`. Three hosts in a lab become one mesh and build real software together; where no lab can run, one
 * machine does what it can. `--alone` asks for the latter. Ends with 0 only when everything worked.
 */
import { labAvailable } from '@mesh/lab';
import { alone } from './alone.ts';
import { threeHosts } from './three-hosts.ts';

async function main(args: readonly string[]): Promise<void> {
  const unknown = args.find((arg) => arg !== '--alone');
  if (unknown !== undefined) throw new Error(`${unknown} is unknown; the only option is --alone.`);
  if (args.includes('--alone')) return alone('--alone was given');
  const lab = labAvailable(['sid']);
  return lab.ok ? threeHosts() : alone(lab.reason);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
