import { parentPort } from 'node:worker_threads';
import { sampleSpeed } from './speed-sample.ts';

/** The thread that measures this machine's speed: one answer, then its end. */
if (parentPort === null) throw new Error('This file runs in a worker thread only.');

const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};

parentPort.postMessage(sampleSpeed({ now: () => performance.now(), cpu: cpuMs }));
