import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from './clock.ts';
import { createNet, type NetInit } from './create-net.ts';
import { type Logger, silentLogger } from './logger.ts';
import type { MeshNet, OwnRecord } from './mesh-net.ts';

/** What agents in tests say of themselves. */
export const OWN_RECORD: OwnRecord = {
  systems: ['x86_64-linux'],
  systemFeatures: ['kvm'],
  cores: 4,
  slots: 2,
  memoryBytes: 8e9,
  nixVersion: '2.34.8',
  agentVersion: '0.1.0',
  load: { running: 0, loadAverage: 0, memoryAvailableBytes: 1e9, diskAvailableBytes: 1e9 },
  speed: 1,
  jobs: 0,
};

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #elapsed = 0;
  readonly #timers = new Set<{ due: number; callback: () => void }>();

  now(): number {
    return 1_700_000_000_000 + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  after(delayMs: number, callback: () => void): { cancel: () => void } {
    const timer = { due: this.#elapsed + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** Time passes, and every timer goes off when it is due. */
  pass(ms: number): void {
    const end = this.#elapsed + ms;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0];
      if (due === undefined) break;
      this.#elapsed = Math.max(this.#elapsed, due.due);
      this.#timers.delete(due);
      due.callback();
    }
    this.#elapsed = end;
  }

  /** Time passes while the process does not run: timers that were due go off late, afterwards. */
  stall(ms: number): void {
    this.#elapsed += ms;
    this.pass(0);
  }
}

/** A clock whose wall can go on while everything else stands still, as in a machine that sleeps. */
export class SleepingClock extends ManualClock {
  asleepMs = 0;

  override now(): number {
    return super.now() + this.asleepMs;
  }
}

/** Real agents' networks on 127.0.0.1, each with a state directory of its own; all stopped and removed in the end. */
export class NetBed implements AsyncDisposable {
  readonly #nets = new Set<MeshNet>();
  readonly #directories: string[] = [];

  async stateDir(): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'mesh-net-'));
    this.#directories.push(directory);
    return directory;
  }

  /** A started network. */
  async up(name: string, init: Partial<NetInit> & { logger?: Logger; clock?: Clock } = {}): Promise<MeshNet> {
    const { logger = silentLogger, clock = systemClock, ...rest } = init;
    const net = await createNet({
      stateDir: rest.stateDir ?? (await this.stateDir()),
      name,
      addresses: ['/ip4/127.0.0.1/tcp/0'],
      discovery: { mdns: false },
      peers: [],
      ...rest,
    })({ logger, clock });
    this.#nets.add(net);
    await net.start();
    net.publish(OWN_RECORD);
    return net;
  }

  async down(net: MeshNet): Promise<void> {
    this.#nets.delete(net);
    await net.stop();
  }

  /** A mesh of as many: the first founded it and invited the others. */
  async mesh(...names: string[]): Promise<MeshNet[]> {
    const nets = await Promise.all(names.map((name) => this.up(name)));
    const [founder, ...others] = nets;
    for (const net of others) await net.join(founder!.invite({ roles: ['build', 'submit', 'admin'] }));
    await allConnected(nets);
    return nets;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#nets].map((net) => net.stop()));
    await Promise.all(this.#directories.map((directory) => rm(directory, { recursive: true, force: true })));
  }
}

/** Resolves when `condition` holds, looking every few milliseconds; fails after `timeoutMs`. */
export async function until(what: string, condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function allConnected(nets: readonly MeshNet[]): Promise<void> {
  await until('all are connected to all', () =>
    nets.every((net) =>
      nets.every((other) => other === net || net.connectedMembers().includes(other.self.peerId)),
    ),
  );
}
