import {
  boundMachineOf,
  criticalPath,
  delayCauses,
  homeIdle,
  type JobDelays,
  type LowerBounds,
  lowerBounds,
  type WorkerInfo,
  whatIf,
  workOf,
} from '@mesh/schedule';
import {
  type DerivationReport,
  type Differing,
  type JobReport,
  type PeerReport,
  REPORT_VERSION,
} from '@mesh/wire';
import { attemptReport } from './attempt-report.ts';
import { finishedRun } from './finished-run.ts';
import { tenths } from './tenths.ts';
import { mainAttempt, readyMs, type Timeline } from './timeline.ts';

export interface JobReportInit {
  job: string;
  ok: boolean;
  /** What was lost, and what would have helped, is known at the end. */
  ended: boolean;
  startedAtWallMs: number;
  wallMs: number;
  /** When the last part of the plan was made. */
  plannedMs: number;
  /** Machines that could take part, by peer id. */
  machines: ReadonlyMap<string, WorkerInfo>;
  /** Slots of the home that waited for work, over time. */
  homeSlotsFree: readonly { atMs: number; free: number }[];
  timelines: ReadonlyMap<string, Timeline>;
  differing: readonly Differing[];
  /** What came home at the end, by peer. */
  resultFetched: readonly { peer: string; bytes: number }[];
  home: string;
  nameOf(peerId: string): string;
}

/** Sums up a job. Its lower bound holds for what the builds were measured to take, on these machines with these speeds. */
export function jobReport(init: JobReportInit): JobReport {
  const { timelines, machines, wallMs, nameOf } = init;
  const all = [...timelines.values()];
  const run = finishedRun(all);
  const measured = run.map((derivation) => ({
    ...derivation,
    durationMs: workOf(derivation, machines),
  }));
  const fleet = [...machines.values()].map(boundMachineOf);
  const bounds = lowerBounds(measured, fleet.some(({ slots }) => slots > 0) ? fleet : [{ slots: 1 }]);
  // A machine that gives its own jobs a slot more than it has may be faster than its slots allow.
  const boundMs = Math.min(wallMs, bounds.ms);
  const idle = homeIdle({ wallMs, freeSlots: init.homeSlotsFree, derivations: run, machines });
  return {
    version: REPORT_VERSION,
    job: init.job,
    ok: init.ok,
    startedAt: new Date(init.startedAtWallMs).toISOString(),
    wallMs,
    lowerBoundMs: tenths(boundMs),
    criticalPath: criticalPath(measured, fleet).path,
    bytesFetched: sumBytes([...all.flatMap((t) => [...t.fetched]), ...init.resultFetched]),
    peers: peerReports(init),
    derivations: all.map((timeline) => derivationReport(timeline, timelines, nameOf)),
    boundBy: boundBy(bounds),
    races: races(init),
    ...(init.differing.length === 0 ? {} : { differing: [...init.differing] }),
    homeIdle: { count: idle.count, ms: tenths(idle.ms) },
    ...(init.ended && init.ok ? hindsight(init, run, tenths(boundMs)) : {}),
  };
}

/** What only a job that went well and is over can tell: where its time went, and what would have helped. */
function hindsight(
  { wallMs, plannedMs, machines, nameOf }: JobReportInit,
  derivations: ReturnType<typeof finishedRun>,
  boundMs: number,
): Pick<JobReport, 'losses' | 'chain' | 'whatIf'> {
  const { losses, chain } = delayCauses({ wallMs, boundMs, plannedMs, derivations, machines });
  const gains = whatIf({ wallMs, derivations, machines });
  return {
    losses: rounded(losses, wallMs - boundMs),
    chain: [...chain],
    ...(gains === undefined
      ? {}
      : {
          whatIf: gains.map(({ like, savedMs }) => ({
            like: nameOf(like),
            wallMs: tenths(wallMs - savedMs),
            savedMs: tenths(savedMs),
          })),
        }),
  };
}

/** In tenths of milliseconds; the largest takes what rounding leaves, so that the sum stays what it is. */
function rounded(losses: JobDelays['losses'], totalMs: number): NonNullable<JobReport['losses']> {
  const [largest, ...others] = losses.map(({ cause, ms }) => ({ cause, ms: tenths(ms) }));
  if (largest === undefined) return [];
  const rest = others.reduce((sum, { ms }) => sum + ms, 0);
  return [{ ...largest, ms: tenths(Math.max(0, totalMs - rest)) }, ...others.filter(({ ms }) => ms > 0)];
}

function boundBy({ pathMs, ms }: LowerBounds): NonNullable<JobReport['boundBy']> {
  return pathMs >= ms ? 'critical-path' : 'machines';
}

function races({ timelines, machines, wallMs }: JobReportInit): NonNullable<JobReport['races']> {
  let count = 0;
  let won = 0;
  let wastedMs = 0;
  for (const { race, attempts } of timelines.values()) {
    count += attempts.reduce((sum, attempt) => sum + (attempt.race ? 1 : 0), 0);
    if (race === null) continue;
    wastedMs += race.wastedMs;
    if (race.won) won += 1;
  }
  let slots = 0;
  for (const machine of machines.values()) slots += machine.slots;
  const slotMs = slots * wallMs;
  return { count, won, wastedMs, wastedShare: slotMs > 0 ? Math.min(1, wastedMs / slotMs) : 0 };
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
  const { node, attempts, race } = timeline;
  const main = mainAttempt(timeline);
  const ready = readyMs(timeline, all);
  // The next link of a chain is given out before it is ready; till then it is nobody's work.
  const leased =
    main === undefined ? null : main.chained ? Math.max(main.leasedMs, ready ?? 0) : main.leasedMs;
  const later = (ms: number | null | undefined) =>
    ms == null || leased === null ? null : Math.max(ms, leased);
  return {
    drvPath: timeline.drvPath,
    name: timeline.name,
    peer: timeline.peerId === null ? null : nameOf(timeline.peerId),
    attempt: main?.attempt ?? 0,
    readyMs: ready,
    leasedMs: leased,
    fetchedMs: later(main?.fetchedMs),
    startedMs: later(main?.startedMs),
    finishedMs: timeline.finishedMs,
    outcome: timeline.outcome ?? 'cancelled',
    why: main?.reason ?? '',
    predictedMs: Math.round(node.predictedMs),
    ...(node.history === undefined ? {} : { predictedFrom: node.history.basis }),
    ...(main === undefined ? {} : { cores: main.cores, expectedMs: Math.round(main.expectedMs) }),
    ...(durationMs(timeline) > 0 ? { buildMs: timeline.buildMs } : {}),
    ...(race === null ? {} : { race }),
    ...(attempts.length > 1 ? { attempts: attempts.map((each) => attemptReport(each, nameOf)) } : {}),
  };
}

function peerReports(init: JobReportInit): PeerReport[] {
  const { timelines, machines, resultFetched, home, wallMs, nameOf } = init;
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
    const report = of(timeline.peerId);
    report.busyMs = tenths(report.busyMs + durationMs(timeline));
    move(timeline.peerId, timeline.fetched);
  }
  move(home, resultFetched);
  for (const [peerId, { slots, cores, speed }] of machines) {
    const report = reports.get(nameOf(peerId));
    if (report === undefined) continue;
    const idleMs = tenths(Math.max(0, slots * wallMs - report.busyMs));
    Object.assign(report, { slots, cores: cores ?? slots, speed: speed ?? 1, idleMs });
  }
  return [...reports.values()];
}

function sumBytes(fetched: readonly { bytes: number }[]): number {
  return fetched.reduce((sum, { bytes }) => sum + bytes, 0);
}
