import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { DataPlaneInit } from './data-plane.ts';
import { LocalDataPlane } from './data-plane.ts';
import type { ImportItem } from './import/import.ts';
import { importNotes } from './import/import-notes.ts';
import type { NarEndpoint } from './side-channel/dial.ts';
import type { NarWish } from './substituter/nar-streams.ts';
import { sendBytes } from './thread-bytes.ts';
import { ThreadCalls } from './thread-calls.ts';

/** The thread that moves NARs; the other end is `ThreadDataPlane`. */
if (parentPort === null) throw new Error('This file runs in a worker thread only.');

const plane = new LocalDataPlane(workerData as DataPlaneInit, {
  askTicket: (peerId, signal) => main.call<NarEndpoint>('askTicket', peerId, { signal }),
  now: () => performance.now(),
});

const main = new ThreadCalls(parentPort, {
  issueTicket: (peerId: string) => plane.issueTicket(peerId),
  import: async (items: ImportItem[], { signal, notify }) => {
    const notes = importNotes(items, signal, notify);
    try {
      await plane.import(items, notes);
    } finally {
      notes.flush();
    }
  },
  sendNar: ({ wish, port }: { wish: NarWish; port: MessagePort }, { signal }) =>
    sendBytes(port, plane.openNar(wish, signal)),
  dropPeer: async (peerId: string) => plane.dropPeer(peerId),
  setUploadLimit: async (bytesPerS: number | undefined) => plane.setUploadLimit(bytesPerS),
  counters: () => plane.counters(),
  close: () => plane.close(),
});
