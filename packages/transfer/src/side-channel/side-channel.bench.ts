/**
 * The side channel against a libp2p channel: NAR-sized streams between two processes over loopback.
 * Run: node --conditions=@mesh/source packages/transfer/src/side-channel/side-channel.bench.ts [MiB]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createNet, type MeshNet, silentLogger } from '@mesh/net';
import { defineProtocol } from '@mesh/wire';
import * as v from 'valibot';
import { MAX_RANGE_BYTES } from './limits.ts';
import { NarConnection } from './nar-connection.ts';
import { NarServer, type NarTicket } from './nar-server.ts';

const CHUNK = Buffer.alloc(256 * 1024, 7);
const PATH = '/nix/store/00000000000000000000000000000000-bench';
const MIB = Number(process.argv[2] ?? 1024);

const bulkProtocol = defineProtocol({
  id: '/mesh/bench/1.0.0',
  maxFrameBytes: 1024 * 1024,
  dialerSchema: v.null(),
  listenerSchema: v.custom<Uint8Array>((value) => value instanceof Uint8Array),
  maxInboundStreams: 4,
});

/** What the serving process answers the measuring one. */
interface Answer {
  readonly tickets: readonly NarTicket[];
  readonly invitation: string;
}

async function makeNet(stateDir: string): Promise<MeshNet> {
  const net = await createNet({
    stateDir,
    name: 'bench',
    addresses: ['/ip4/127.0.0.1/tcp/0'],
    discovery: { mdns: false },
    peers: [],
    agentVersion: 'bench',
  })({ logger: silentLogger });
  await net.start();
  return net;
}

function* chunks(): Generator<Buffer> {
  for (let sent = 0; sent < MIB * 4; sent += 1) yield CHUNK;
}

async function serve(stateDir: string): Promise<void> {
  const shelf = {
    open: async () => ({
      narBytes: MIB * 1024 * 1024,
      async *read(_offset: number, bytes: number) {
        for (let left = bytes; left > 0; left -= CHUNK.length) yield CHUNK.subarray(0, left);
      },
      close: () => undefined,
    }),
    openBatch: async () => undefined,
  };
  const server = new NarServer({ host: '127.0.0.1' }, { shelf, now: () => performance.now() });
  const net = await makeNet(stateDir);
  net.handle(bulkProtocol, async (channel) => {
    for (const chunk of chunks()) await channel.send(chunk);
  });
  process.on('message', (question) => {
    if (question === 'cpu') process.send?.(process.cpuUsage());
    else process.exit(0);
  });
  const tickets = [await server.issueTicket('bench'), await server.issueTicket('bench')];
  process.send?.({ tickets, invitation: net.invite() } satisfies Answer);
}

/** The whole NAR, two ranges under way. */
async function pullRanges(connection: NarConnection): Promise<number> {
  let bytes = 0;
  const total = MIB * 1024 * 1024;
  const half = MAX_RANGE_BYTES / 2;
  const reads: Promise<void>[] = [];
  for (let offset = 0; offset < total; offset += half) {
    const range = { path: PATH, offset, bytes: Math.min(half, total - offset) };
    reads.push(
      connection.read(range, (chunk) => {
        bytes += chunk.length;
      }),
    );
    if (reads.length > 2) await reads.shift();
  }
  await Promise.all(reads);
  return bytes;
}

async function measure(): Promise<void> {
  const stateDir = await mkdtemp(join(tmpdir(), 'mesh-bench-'));
  const server = fork(fileURLToPath(import.meta.url), [String(MIB), join(stateDir, 'a')], {
    execArgv: process.execArgv,
    serialization: 'advanced',
  });
  try {
    const [{ tickets, invitation }] = (await once(server, 'message')) as [Answer];
    const net = await makeNet(join(stateDir, 'b'));
    const up = new Promise<string>((resolve) => net.events.on('member-up', resolve));
    await net.join(invitation);
    const peerId = await up;
    const cpuThere = async () => {
      server.send('cpu');
      const [usage] = (await once(server, 'message')) as [NodeJS.CpuUsage];
      return (usage.user + usage.system) / 1e6;
    };
    const run = async (label: string, pull: () => Promise<number>) => {
      const [here, there, start] = [process.cpuUsage(), await cpuThere(), performance.now()];
      const bytes = await pull();
      const seconds = (performance.now() - start) / 1e3;
      const used = process.cpuUsage(here);
      const perGib = (cpu: number) => ((cpu * 2 ** 30) / bytes).toFixed(2);
      const receiving = perGib((used.user + used.system) / 1e6);
      const sending = perGib((await cpuThere()) - there);
      const rate = (bytes / 1e6 / seconds).toFixed(0);
      console.log(`${label}: ${rate} MB/s, CPU s/GiB ${sending} sending + ${receiving} receiving`);
    };
    for (const ticket of tickets) {
      const endpoint = { ...ticket, hosts: ['127.0.0.1'] };
      const connection = await NarConnection.connect(endpoint, { peerId, name: 'server' });
      await run('side channel  ', () => pullRanges(connection));
      connection.close();
      const channel = await net.open(peerId, bulkProtocol);
      await run('libp2p channel', async () => {
        let bytes = 0;
        for await (const chunk of channel) bytes += chunk.length;
        return bytes;
      });
    }
    await net.stop();
  } finally {
    server.send('exit');
    await rm(stateDir, { recursive: true, force: true });
  }
}

const stateDir = process.argv[3];
await (stateDir === undefined ? measure() : serve(stateDir));
