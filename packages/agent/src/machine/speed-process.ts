import { sampleSpeed } from './speed-sample.ts';

/** The process that measures this machine's speed: one answer, then its end. */
if (process.send === undefined) throw new Error('This file runs as a child of the agent only.');

const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};

process.send(sampleSpeed({ now: () => performance.now(), cpu: cpuMs }));
process.disconnect();
