import { criticalPath, lowerBoundMs } from '@mesh/schedule';
import { type DerivationReport, type JobReport, type PeerReport, REPORT_VERSION } from '@mesh/wire';
import { readyMs, type Timeline } from './timeline.ts';

export interface JobReportInit {
  job: string;
  ok: boolean;
  startedAtWallMs: number;
  wallMs: number;
  /** Build slots of the machines that could take part. */
  slots: number;
  timelines: ReadonlyMap<string, Timeline>;
  /** What came home at the end, by peer. */
  resultFetched: readonly { peer: string; bytes: number }[];
  home: string;
  nameOf(peerId: string): string;
}

/** Sums up a job. Its lower bound holds for what the builds were measured to take, on these slots. */
export function jobReport(init: JobReportInit): JobReport {
  const { timelines, nameOf } = init;
  const measured = [...timelines.values()].map((timeline) => ({
    drvPath: timeline.drvPath,
    durationMs: durationMs(timeline),
    dependencies: timeline.dependencies,
  }));
  return {
    version: REPORT_VERSION,
    job: init.job,
    ok: init.ok,
    startedAt: new Date(init.startedAtWallMs).toISOString(),
    wallMs: init.wallMs,
    lowerBoundMs: Math.round(lowerBoundMs(measured, Math.max(1, init.slots)) * 10) / 10,
    criticalPath: criticalPath(measured).path,
    bytesFetched: sumBytes([
      ...[...timelines.values()].flatMap((t) => [...t.fetched]),
      ...init.resultFetched,
    ]),
    peers: peerReports(init),
    derivations: [...timelines.values()].map((timeline) => derivationReport(timeline, timelines, nameOf)),
  };
}

/** What a derivation cost its machine: the build itself, or nothing where it was not built. */
function durationMs(timeline: Timeline): number {
  return timeline.outcome === 'built' || timeline.outcome === 'failed' ? timeline.buildMs : 0;
}

function derivationReport(
  timeline: Timeline,
  all: ReadonlyMap<string, Timeline>,
  nameOf: (peerId: string) => string,
): DerivationReport {
  return {
    drvPath: timeline.drvPath,
    name: timeline.name,
    peer: timeline.peerId === null ? null : nameOf(timeline.peerId),
    attempt: timeline.attempt,
    readyMs: readyMs(timeline, all),
    leasedMs: timeline.leasedMs,
    fetchedMs: timeline.fetchedMs,
    startedMs: timeline.startedMs,
    finishedMs: timeline.finishedMs,
    outcome: timeline.outcome ?? 'cancelled',
    why: timeline.why,
  };
}

function peerReports({ timelines, resultFetched, home, nameOf }: JobReportInit): PeerReport[] {
  const reports = new Map<string, PeerReport>();
  const of = (peerId: string): PeerReport => {
    const name = nameOf(peerId);
    const report = reports.get(name) ?? { name, builds: 0, busyMs: 0, bytesIn: 0, bytesOut: 0 };
    reports.set(name, report);
    return report;
  };
  const move = (to: string, fetched: readonly { peer: string; bytes: number }[]): void => {
    for (const { peer, bytes } of fetched) {
      of(to).bytesIn += bytes;
      of(peer).bytesOut += bytes;
    }
  };
  of(home);
  for (const timeline of timelines.values()) {
    if (timeline.peerId === null) continue;
    if (timeline.outcome === 'built') of(timeline.peerId).builds += 1;
    of(timeline.peerId).busyMs += durationMs(timeline);
    move(timeline.peerId, timeline.fetched);
  }
  move(home, resultFetched);
  return [...reports.values()];
}

function sumBytes(fetched: readonly { bytes: number }[]): number {
  return fetched.reduce((sum, { bytes }) => sum + bytes, 0);
}
