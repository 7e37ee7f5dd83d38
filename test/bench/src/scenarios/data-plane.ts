import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { repositoryRoot } from '@mesh/lab';
import { BenchError } from '../errors.ts';
import { figure } from '../figure.ts';
import type { Scenario } from './scenario.ts';

const SCRIPT = 'packages/transfer/src/side-channel/side-channel.bench.ts';
const MIB = 512;
const LINE =
  /^(side channel|libp2p channel)\s*: (\d+) MB\/s, CPU s\/GiB ([\d.]+) sending \+ ([\d.]+) receiving$/;
const GIB_IN_MB = 1024 ** 3 / 1e6;

interface Measured {
  readonly channel: string;
  readonly seconds: number;
  readonly processor: number;
}

/** What bulk travels over, without any store: the side channel against a libp2p stream, two processes over loopback. */
export const dataPlane: Scenario = {
  name: 'data-plane',
  title: `${MIB} MiB over the side channel and over libp2p`,
  async measure({ runs, told }) {
    const measured: Measured[] = [];
    for (let run = 0; run < runs; run++) measured.push(...(await measureOnce()));
    const of = (channel: string, what: 'seconds' | 'processor') =>
      measured.filter((one) => one.channel === channel).map((one) => one[what]);
    for (const { channel, seconds } of measured) told(channel, seconds);
    const rival = 'libp2p stream';
    return [
      figure('data-plane', '1 GiB over the side channel', 's', of('side channel', 'seconds'), {
        rivals: { [rival]: of('libp2p channel', 'seconds') },
      }),
      figure(
        'data-plane-cpu',
        'the same, processor time of both ends',
        's',
        of('side channel', 'processor'),
        {
          rivals: { [rival]: of('libp2p channel', 'processor') },
        },
      ),
    ];
  },
};

async function measureOnce(): Promise<Measured[]> {
  const script = join(repositoryRoot, SCRIPT);
  const child = spawn(process.execPath, ['--conditions=@mesh/source', script, String(MIB)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [code]] = await Promise.all([
    text(child.stdout),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  const measured = output.split('\n').flatMap((line) => parseLine(line) ?? []);
  if (code !== 0 || measured.length === 0) {
    throw new BenchError(
      'BENCH_SCRIPT_FAILED',
      `${SCRIPT} ended with ${code ?? 'a signal'} and said: ${output}`,
    );
  }
  return measured;
}

/** Both in seconds for one GiB. */
function parseLine(line: string): Measured | undefined {
  const [, channel, rate, sending, receiving] = LINE.exec(line) ?? [];
  if (channel === undefined) return undefined;
  return { channel, seconds: GIB_IN_MB / Number(rate), processor: Number(sending) + Number(receiving) };
}
