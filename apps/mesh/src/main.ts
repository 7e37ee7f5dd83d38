import { readFileSync } from 'node:fs';
import { reportError } from './errors.ts';
import { runProgram } from './program.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

// A reader that has seen enough (`mesh peers | head -1`) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

const argv = process.argv.slice(2);
let exitCode = 0;
try {
  await runProgram(argv, version);
} catch (error) {
  const verbose = argv.includes('-v') || argv.includes('--verbose');
  const report = reportError(error, verbose);
  if (report.text !== undefined) process.stderr.write(`${report.text}\n`);
  exitCode = report.exitCode;
}
// What was printed must be out before the end; what still runs (an agent that takes its time to stop) must not hold it up.
process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)));
