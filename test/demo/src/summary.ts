import type { Report } from '@mesh/lab';
import { table } from './table.ts';

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
const orDash = (ms: number | null) => (ms === null ? '-' : seconds(ms));
const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** Where each derivation of a job ran and how long it took, in the order they finished, then what each machine did. */
export function summary(report: Report): string[] {
  const byEnd = [...report.derivations].sort(
    (a, b) => (a.finishedMs ?? Number.POSITIVE_INFINITY) - (b.finishedMs ?? Number.POSITIVE_INFINITY),
  );
  const derivations = byEnd.map(({ name, peer, outcome, startedMs, finishedMs }) => {
    const took = startedMs === null || finishedMs === null ? null : finishedMs - startedMs;
    return [name, peer ?? '-', outcome, orDash(took), orDash(finishedMs)];
  });
  const machines = report.peers.map(({ name, builds, busyMs, bytesIn, bytesOut }) => [
    name,
    String(builds),
    seconds(busyMs),
    mebibytes(bytesIn),
    mebibytes(bytesOut),
  ]);
  const busyMs = report.peers.reduce((sum, peer) => sum + peer.busyMs, 0);
  return [
    ...table(['derivation', 'machine', 'outcome', 'took', 'done at'], derivations, ['took', 'done at']),
    '',
    ...table(['machine', 'builds', 'busy', 'received', 'sent'], machines, [
      'builds',
      'busy',
      'received',
      'sent',
    ]),
    '',
    `${seconds(busyMs)} of building in ${seconds(report.wallMs)}; the longest chain of builds alone is ${seconds(report.lowerBoundMs)}.`,
  ];
}

/** Machines out of `names` that built nothing in a job. */
export function idleMachines(report: Report, names: readonly string[]): string[] {
  return names.filter(
    (name) => !report.derivations.some(({ peer, outcome }) => peer === name && outcome === 'built'),
  );
}
