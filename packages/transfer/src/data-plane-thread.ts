import { MessageChannel, Worker } from 'node:worker_threads';
import { IDLE_THREAD_MS } from './constants.ts';
import type { DataPlane, DataPlaneCounters, DataPlaneInit } from './data-plane.ts';
import { messageOf, TransferError } from './errors.ts';
import type { ImportItem, ImportOptions } from './import/import.ts';
import { hearImportNotes } from './import/import-notes.ts';
import type { TicketAsker } from './side-channel/nar-connections.ts';
import type { NarTicket } from './side-channel/nar-server.ts';
import type { NarWish } from './substituter/nar-streams.ts';
import { receiveBytes } from './thread-bytes.ts';
import { ThreadCalls } from './thread-calls.ts';

/** Sources run as they are, built files as they are: the thread's file is the neighbour of this one. */
const FROM_SOURCE = import.meta.url.endsWith('.ts');
const WORKER_FILE = new URL(
  FROM_SOURCE ? './data-plane-worker.ts' : './data-plane-worker.js',
  import.meta.url,
);

interface Thread {
  readonly worker: Worker;
  readonly calls: ThreadCalls;
}

const NOTHING_YET: DataPlaneCounters = {
  nars: 0,
  ranges: 0,
  rawBytes: 0,
  sentBytes: 0,
  refused: 0,
  garbled: 0,
  connections: 0,
  fetchedBytes: 0,
  fetchedPaths: 0,
};

/**
 * The data plane in a thread of its own, so that encrypting and hashing gigabytes never delays a heartbeat. The thread starts
 * with the first work and ends when there has been none for IDLE_THREAD_MS; one that crashes fails its work and is replaced.
 */
export class ThreadDataPlane implements DataPlane {
  readonly #init: DataPlaneInit;
  readonly #askTicket: TicketAsker;
  #thread: Thread | undefined;
  #idle: NodeJS.Timeout | undefined;
  /** Of threads that ended. */
  #past = NOTHING_YET;
  #uploadBytesPerS: number | undefined;
  #closed = false;

  constructor(init: DataPlaneInit, components: { readonly askTicket: TicketAsker }) {
    this.#init = init;
    this.#uploadBytesPerS = init.uploadBytesPerS;
    this.#askTicket = components.askTicket;
  }

  prepare(): void {
    if (this.#closed || this.#thread !== undefined) return;
    this.#thread = this.#start();
    this.#watchIdle();
  }

  issueTicket(peerId: string): Promise<NarTicket> {
    return this.#use((calls) => calls.call<NarTicket>('issueTicket', peerId));
  }

  async import(items: readonly ImportItem[], options: ImportOptions): Promise<void> {
    const onNote = (notes: unknown) => hearImportNotes(notes, items, options);
    await this.#use((calls) => calls.call('import', items, { signal: options.signal, onNote }));
  }

  async *openNar(wish: NarWish, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const { port1: here, port2: there } = new MessageChannel();
    const sending = this.#use((calls) =>
      calls.call('sendNar', { wish, port: there }, { signal, transfer: [there] }),
    );
    // What went wrong is said after the last byte that came.
    sending.catch(() => here.close());
    yield* receiveBytes(here);
    await sending;
  }

  dropPeer(peerId: string): void {
    // A thread that ends meanwhile has dropped everybody.
    this.#thread?.calls.call('dropPeer', peerId).catch(() => undefined);
  }

  setUploadLimit(bytesPerS: number | undefined): void {
    this.#uploadBytesPerS = bytesPerS;
    // A thread that ends meanwhile sends nothing; the next one is started with the limit.
    this.#thread?.calls.call('setUploadLimit', bytesPerS).catch(() => undefined);
  }

  async counters(): Promise<DataPlaneCounters> {
    if (this.#thread === undefined) return this.#past;
    const ask = (calls: ThreadCalls) => calls.call<DataPlaneCounters>('counters', undefined);
    return sum(this.#past, await track(this.#thread, ask));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#stop();
  }

  async #use<T>(work: (calls: ThreadCalls) => Promise<T>): Promise<T> {
    if (this.#closed) throw stopped('the agent is stopping');
    clearTimeout(this.#idle);
    this.#thread ??= this.#start();
    const thread = this.#thread;
    try {
      return await track(thread, work);
    } finally {
      if (thread.calls.pending === 0 && this.#thread === thread) this.#watchIdle();
    }
  }

  #start(): Thread {
    const worker = new Worker(WORKER_FILE, {
      workerData: this.#workerInit(),
      name: 'mesh-data-plane',
      execArgv: FROM_SOURCE ? ['--conditions=@mesh/source'] : [],
    });
    const calls = new ThreadCalls(worker, {
      askTicket: (peerId: string, { signal }) => this.#askTicket(peerId, signal),
    });
    const thread = { worker, calls };
    const ended = (reason: string) => {
      if (this.#thread === thread) this.#thread = undefined;
      calls.end(stopped(reason));
    };
    worker.on('error', (error) => ended(`its thread failed (${messageOf(error)})`));
    worker.on('exit', () => ended('its thread ended'));
    worker.unref();
    return thread;
  }

  #workerInit(): DataPlaneInit {
    const { uploadBytesPerS: _, ...init } = this.#init;
    return this.#uploadBytesPerS === undefined ? init : { ...init, uploadBytesPerS: this.#uploadBytesPerS };
  }

  #watchIdle(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => void this.#stopIfIdle(), IDLE_THREAD_MS);
    this.#idle.unref();
  }

  async #stopIfIdle(): Promise<void> {
    const thread = this.#thread;
    if (thread === undefined) return;
    const { connections } = await this.counters();
    const used = connections > 0 || thread.calls.pending > 0 || this.#thread !== thread;
    if (used) this.#watchIdle();
    else await this.#stop();
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#idle);
    const thread = this.#thread;
    if (thread === undefined) return;
    try {
      this.#past = { ...(await this.counters()), connections: 0 };
      await track(thread, (calls) => calls.call('close', undefined));
    } catch (error) {
      // It ended by itself first: that is all that was wanted.
      if (!(error instanceof TransferError)) throw error;
    } finally {
      if (this.#thread === thread) this.#thread = undefined;
      await thread.worker.terminate();
    }
  }
}

/** Runs work in the thread; only work under way keeps the process alive. */
async function track<T>({ worker, calls }: Thread, work: (calls: ThreadCalls) => Promise<T>): Promise<T> {
  worker.ref();
  try {
    return await work(calls);
  } finally {
    if (calls.pending === 0) worker.unref();
  }
}

function stopped(why: string): TransferError {
  return new TransferError(
    'TRANSFER_STOPPED',
    `Transfers stopped: ${why}; what was under way can be tried again.`,
  );
}

function sum(past: DataPlaneCounters, now: DataPlaneCounters): DataPlaneCounters {
  return {
    nars: past.nars + now.nars,
    ranges: past.ranges + now.ranges,
    rawBytes: past.rawBytes + now.rawBytes,
    sentBytes: past.sentBytes + now.sentBytes,
    refused: past.refused + now.refused,
    garbled: past.garbled + now.garbled,
    connections: now.connections,
    fetchedBytes: past.fetchedBytes + now.fetchedBytes,
    fetchedPaths: past.fetchedPaths + now.fetchedPaths,
  };
}
