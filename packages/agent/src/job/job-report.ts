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

/** Sums up a job. The lower bound is max(critical path, work / slots) over what the builds were measured to take. */
export function jobReport(init: JobReportInit): JobReport {
  const { timelines, nameOf } = init;
  const critical = criticalPath(timelines);
  const workMs = [...timelines.values()].reduce((sum, timeline) => sum + durationMs(timeline), 0);
  return {
    version: REPORT_VERSION,
    job: init.job,
    ok: init.ok,
    startedAt: new Date(init.startedAtWallMs).toISOString(),
    wallMs: init.wallMs,
    lowerBoundMs: Math.max(critical.ms, init.slots > 0 ? workMs / init.slots : 0),
    criticalPath: critical.path,
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

/** Longest path by measured build time, dependencies first. O(V+E), iterative: graphs can be tens of thousands deep. */
export function criticalPath(timelines: ReadonlyMap<string, Timeline>): { ms: number; path: string[] } {
  const total = new Map<string, number>();
  const before = new Map<string, string>();
  for (const start of timelines.keys()) {
    const stack = [start];
    while (stack.length > 0) {
      const path = stack[stack.length - 1] as string;
      const timeline = timelines.get(path);
      if (timeline === undefined || total.has(path)) {
        stack.pop();
        continue;
      }
      const open = timeline.dependencies.filter((d) => timelines.has(d) && !total.has(d));
      if (open.length > 0) {
        stack.push(...open);
        continue;
      }
      let longest = 0;
      for (const dependency of timeline.dependencies) {
        const ms = total.get(dependency) ?? 0;
        if (ms > longest) {
          longest = ms;
          before.set(path, dependency);
        }
      }
      total.set(path, longest + durationMs(timeline));
      stack.pop();
    }
  }
  let last: string | undefined;
  let ms = 0;
  for (const [path, pathMs] of total) if (pathMs > ms) [last, ms] = [path, pathMs];
  const path: string[] = [];
  for (let at = last; at !== undefined; at = before.get(at)) path.unshift(at);
  return { ms, path };
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
