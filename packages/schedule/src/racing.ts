import { FREE_RACES, RACE_GAIN_MS, RACE_GAIN_SHARE, RACE_WASTE_SHARE } from './constants.ts';
import { coresAt, coresWish } from './cores.ts';
import { fetchMs, speedOn, spreadOf, workMs } from './estimates.ts';
import type { HomeState, Lease, WorkerRecord } from './home-state.ts';
import { grant } from './lease-table.ts';
import { hasRoom } from './memory-room.ts';
import { tailMs } from './placement.ts';
import { type Outlook, outlook } from './race-outlook.ts';
import { ableWorkers } from './ready-queue.ts';
import { raceReason } from './reasons.ts';
import type { Round } from './round.ts';
import { hasOpenSlot } from './timetable.ts';

/** A second run of what somebody builds already. */
interface Race {
  readonly lease: Lease;
  readonly worker: WorkerRecord;
  readonly cores: number;
  readonly fetchMs: number;
  readonly expectedMs: number;
  /** How much sooner the whole job is expected to end. */
  readonly gainMs: number;
}

/** Gives slots that found nothing ready the running builds whose second run is expected to end the job sooner. */
export function raceTail(round: Round): void {
  const { state } = round.step;
  let worthwhile: readonly Lease[] | undefined;
  for (const worker of state.workers.values()) {
    while (hasOpenSlot(worker)) {
      worthwhile ??= [...state.leases.values()].filter((lease) => isWorthwhile(round, lease));
      if (worthwhile.length === 0) return;
      const race = bestRace(round, worker, worthwhile);
      if (race === undefined) break;
      begin(round, race);
    }
  }
}

/** Of a lease that has started. */
function outlookOf({ derivation, startedAt, expectedMs }: Lease, now: number): Outlook {
  return outlook(now - startedAt!, expectedMs, spreadOf(derivation));
}

function begin(round: Round, race: Race): void {
  const { lease, worker, cores, fetchMs, expectedMs } = race;
  grant(round.step, lease.derivation, worker, {
    request: worker.free.shift()!,
    ahead: false,
    race: true,
    cores,
    fetchMs,
    expectedMs,
    reason: raceReason(round.step, lease, worker, expectedMs + fetchMs, race.gainMs),
  });
}

function bestRace(round: Round, worker: WorkerRecord, leases: readonly Lease[]): Race | undefined {
  let best: Race | undefined;
  for (const lease of leases) {
    if (!isRaceable(round, lease, worker)) continue;
    const race = raceOf(round, lease, worker);
    if (race !== undefined && (best === undefined || race.gainMs > best.gainMs)) best = race;
  }
  return best !== undefined && isAffordable(round, best) ? best : undefined;
}

/** Fixed-output and `preferLocalBuild` derivations are never raced, nor whose paths are not known, nor what earlier races or builds speak against. */
function isWorthwhile(round: Round, lease: Lease): boolean {
  const { derivation } = lease;
  if (lease.startedAt === undefined || derivation.node.place !== 'anywhere' || derivation.alone) return false;
  if (derivation.node.unresolved || derivation.node.history?.neverRace !== undefined) return false;
  const left = outlookOf(lease, round.step.now).leftMs;
  return left - slackMs(round, lease, left) >= RACE_GAIN_MS;
}

/** How much later the lease could end without delaying the job. */
function slackMs(round: Round, lease: Lease, leftMs: number): number {
  const { path, area } = round.jobEnd;
  return Math.max(0, Math.max(path, area) - (round.step.now + leftMs + tailMs(lease.derivation)));
}

function isRaceable(round: Round, { derivation, peerId }: Lease, worker: WorkerRecord): boolean {
  if (derivation.leases.length > 1 || peerId === worker.info.peerId) return false;
  ableWorkers(round.step.state, derivation.work);
  return derivation.work.ableSet.has(worker) && hasRoom(derivation, worker);
}

function raceOf(round: Round, lease: Lease, worker: WorkerRecord): Race | undefined {
  const { state, now } = round.step;
  const { derivation } = lease;
  const cores = coresAt(worker, coresWish(round, derivation));
  const holder = state.workers.get(lease.peerId);
  if (holder === undefined || lease.startedAt === undefined) return undefined;
  const speed = speedOn(state, worker, derivation.work.system);
  const fetch = fetchMs(derivation, worker);
  const ahead = outlookOf(lease, now);
  const left = ahead.leftMs;
  const expectedMs = secondRunMs(
    lease,
    now,
    ahead,
    speedOn(state, holder, derivation.work.system),
    speed,
    cores,
  );
  const gain = left - (fetch + expectedMs);
  if (gain < Math.max(RACE_GAIN_MS, RACE_GAIN_SHARE * expectedMs)) return undefined;
  const gainMs = gain - slackMs(round, lease, left);
  if (gainMs < RACE_GAIN_MS) return undefined;
  return { lease, worker, cores, fetchMs: fetch, expectedMs, gainMs };
}

/**
 * What the build would take on another machine, knowing that it has not ended yet: as long there if it is simply long, as
 * predicted if its machine has trouble.
 */
function secondRunMs(
  lease: Lease,
  now: number,
  { troubled, leftIfLongMs }: Outlook,
  holderSpeed: number,
  speed: number,
  cores: number,
): number {
  const { derivation } = lease;
  const elapsed = now - lease.startedAt!;
  const fresh = workMs(derivation, cores) / speed;
  const itself = workMs(derivation, lease.cores) / holderSpeed;
  const coreGain = itself === 0 ? 1 : (fresh * speed) / (itself * holderSpeed);
  const same = ((elapsed + leftIfLongMs) * holderSpeed * coreGain) / speed;
  return troubled * fresh + (1 - troubled) * Math.max(fresh, same);
}

/** Races may cost a small share of all slot time; the first ones, and winners, are not held back by a young job's small share. */
function isAffordable(round: Round, race: Race): boolean {
  const { state, now } = round.step;
  const { racing } = state;
  let underWay = 0;
  let spent = 0;
  for (const lease of state.leases.values()) {
    if (!lease.race) continue;
    underWay++;
    spent += now - lease.grantedAt;
  }
  const cost = Math.min(race.expectedMs + race.fetchMs, outlookOf(race.lease, now).leftMs);
  if (racing.wastedMs + spent + cost <= RACE_WASTE_SHARE * racing.slotMs) return true;
  return underWay === 0 && (racing.lost < FREE_RACES || racing.won * 3 >= racing.lost);
}

/** Counts the slot time that has passed since the last step. */
export function countSlotTime(state: HomeState, now: number): void {
  const { racing } = state;
  if (state.jobs.size > 0) {
    let slots = 0;
    for (const worker of state.workers.values()) slots += worker.info.slots;
    racing.slotMs += slots * Math.max(0, now - racing.countedAt);
  }
  racing.countedAt = now;
}
