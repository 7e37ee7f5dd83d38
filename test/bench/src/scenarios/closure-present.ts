import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Host } from '@mesh/lab';
import { ClosureLab } from '../closure-lab.ts';
import { BenchError } from '../errors.ts';
import { figure } from '../figure.ts';
import { makeSmallClosure } from '../made-paths.ts';
import type { Scenario } from './scenario.ts';

const PATHS = 1_000;
const REQUIRED_MS = 50;
const SOCKET = '/run/mesh/agent.sock';
/** `CONTROL_VERSION` of the local API. */
const CONTROL_VERSION = 1;

/** A closure that is there already: the answer is all there is to do. */
export const closurePresent: Scenario = {
  name: 'closure-present',
  shape: 'own',
  title: `${PATHS} paths that are present already`,
  async measure({ runs, told }) {
    await using lab = await ClosureLab.up(2);
    const { source } = lab;
    const { root } = await makeSmallClosure(source, PATHS, 4_096);
    // Connections and threads that are kept are there afterwards.
    await warm(source, root);
    const times: number[] = [];
    const started: number[] = [];
    for (let run = 0; run < runs; run++) {
      const before = await lastProcess(source);
      times.push(await warm(source, root));
      started.push((await lastProcess(source)) - before - 1);
      told('mesh', times.at(-1)! / 1000);
    }
    return [
      figure('closure-present', `${PATHS} paths present already, asked of the agent`, 'ms', times, {
        required: REQUIRED_MS,
      }),
      figure('closure-present-processes', 'the same, processes and threads started', 'times', started, {
        required: 0,
      }),
    ];
  },
};

/** Asks the agent without starting a process; returns the milliseconds to its answer. */
async function warm(host: Host, path: string): Promise<number> {
  const started = performance.now();
  const socket = connect(host.root + SOCKET);
  socket.write(`${JSON.stringify({ version: CONTROL_VERSION, method: 'cache-warm', paths: [path] })}\n`);
  const answer = await text(socket);
  const took = performance.now() - started;
  if (!/"type":"result"/.test(answer)) throw new BenchError('BENCH_NOT_COPIED', `The agent said: ${answer}`);
  return took;
}

/** The number of the newest process or thread of a host, which is that of the command that looks. */
async function lastProcess(host: Host): Promise<number> {
  return Number(await host.readFile('/proc/sys/kernel/ns_last_pid'));
}
