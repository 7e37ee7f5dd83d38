/**
 * How fast `.drv` files are read: `node src/derivation-files.bench.ts [STORE_DIR]`.
 * Reads 20,000 files of the store given or, without one, of a directory made for it.
 */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeBase32 } from './base32.ts';
import { printDerivation } from './derivation.ts';
import { readDerivations } from './derivation-files.ts';

const FILES = 20_000;

function storePath(number: number, name: string): string {
  const hash = Buffer.alloc(20);
  hash.writeUInt32LE(number);
  return `/nix/store/${encodeBase32(hash)}-${name}`;
}

/** About the size of a derivation of nixpkgs: 3 KB, a dozen inputs, a script with escapes. */
async function makeFiles(directory: string): Promise<void> {
  for (let number = 0; number < FILES; number++) {
    const out = storePath(number, `package-${number}`);
    const inputs = Array.from({ length: 12 }, (_, i) => storePath(number + i + 1, `input-${i}.drv`)).sort();
    const env = Array.from(
      { length: 24 },
      (_, i) => [`variable${i}`, `-I${out}/include "$x"\n`.repeat(1)] as const,
    );
    const drv = printDerivation({
      outputs: new Map([['out', { path: out, hashAlgo: '', hash: '' }]]),
      inputDrvs: new Map(inputs.map((path) => [path, ['out']])),
      inputSrcs: [storePath(number, 'builder.sh')],
      system: 'x86_64-linux',
      builder: '/bin/sh',
      args: ['-e', storePath(number, 'builder.sh')],
      env: new Map(env),
    });
    await writeFile(join(directory, `${number}.drv`), drv);
  }
}

const [given] = process.argv.slice(2);
const directory = given ?? (await mkdtemp(join(tmpdir(), 'drv-bench-')));
try {
  if (given === undefined) await makeFiles(directory);
  const names = (await readdir(directory)).filter((name) => name.endsWith('.drv')).slice(0, FILES);
  const paths = names.map((name) => join(directory, name));
  for (let round = 1; round <= 3; round++) {
    const start = performance.now();
    let edges = 0;
    let longestTurnMs = 0;
    let turn = performance.now();
    const timer = setInterval(() => {
      longestTurnMs = Math.max(longestTurnMs, performance.now() - turn - 1);
      turn = performance.now();
    }, 1);
    for await (const [, drv] of readDerivations(paths)) edges += drv.inputDrvs.size;
    clearInterval(timer);
    const ms = performance.now() - start;
    console.log(
      `${paths.length} files, ${edges} inputs: ${ms.toFixed(0)} ms, ${((ms * 1000) / paths.length).toFixed(1)} µs each; ` +
        `event loop held at most ${longestTurnMs.toFixed(1)} ms`,
    );
  }
} finally {
  if (given === undefined) await rm(directory, { recursive: true });
}
