import { randomBytes } from 'node:crypto';
import type { Host } from '@mesh/lab';
import { aroundFile, EXPORT_END, madeUpPath } from './export-stream.ts';

/** What all large paths of a host are made from: bytes that do not compress, made once. */
const BLOCK = '/root/block';
const BLOCK_MIB = 64;
const MIB = 2 ** 20;
const TIMEOUT_MS = 300_000;

/** A name of its own for each path: nobody can have met it. */
const freshSeed = (): bigint => BigInt(`0x${randomBytes(19).toString('hex')}`);

/** Makes one path of so many MiB valid on the hosts, the same on all, as cheaply as it goes: content cost is nobody's figure. */
export async function makeLargePath(hosts: readonly Host[], mib: number): Promise<string> {
  const path = madeUpPath(freshSeed(), `large-${mib}`);
  const block = randomBytes(BLOCK_MIB * MIB);
  const { before, after } = aroundFile({ path, bytes: mib * MIB, references: [] });
  for (const host of hosts) {
    await host.writeFile(BLOCK, block);
    await host.writeFile(`${BLOCK}.before`, before);
    await host.writeFile(`${BLOCK}.after`, Buffer.concat([after, EXPORT_END]));
    const script = `set -e
block() {
  left=${mib}
  while [ $left -ge ${BLOCK_MIB} ]; do cat ${BLOCK}; left=$((left - ${BLOCK_MIB})); done
  head -c $((left * ${MIB})) ${BLOCK}
}
{ cat ${BLOCK}.before; block; cat ${BLOCK}.after; } | nix-store --import
rm ${BLOCK}*`;
    await host.exec(['sh', '-c', script], { timeoutMs: TIMEOUT_MS });
  }
  return path;
}

/** Makes a closure of `count` files of so many bytes valid on a host; returns its root and all its paths. */
export async function makeSmallClosure(
  host: Host,
  count: number,
  bytes: number,
): Promise<{ root: string; paths: string[] }> {
  const paths = Array.from({ length: count }, (_, index) => madeUpPath(freshSeed(), `small-${index}`));
  // A binary heap: each refers to two others, so that the closure is some levels deep. Leaves first, as Nix takes them.
  const stream = paths
    .map((path, index) => {
      const references = [2 * index + 1, 2 * index + 2].flatMap((child) => paths[child] ?? []);
      const { before, after } = aroundFile({ path, bytes, references });
      return Buffer.concat([before, randomBytes(bytes), after]);
    })
    .toReversed();
  await host.exec(['nix-store', '--import'], { input: Buffer.concat([...stream, EXPORT_END]) });
  return { root: paths[0]!, paths };
}

/** Takes paths away again where nothing holds them; memory of the machine is what hosts have for disks. */
export async function dropPaths(host: Host, paths: readonly string[]): Promise<void> {
  const input = paths.join('\n');
  await host.exec(['xargs', 'nix-store', '--delete', '--ignore-liveness'], { input, check: false });
}
