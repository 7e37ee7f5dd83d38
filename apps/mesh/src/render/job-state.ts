import type { FetchProgress, JobEvent } from '@mesh/wire';

/** What is coming, and how far it is once that was said. */
export interface RunningFetch {
  paths: number;
  bytes: number;
  progress: FetchProgress | undefined;
  /** When that was said, from the job's start. */
  saidMs: number;
}

/** A derivation that a machine has in hand. */
export interface RunningBuild {
  drvPath: string;
  name: string;
  peer: string;
  step: 'leased' | 'fetching' | 'building';
  /** From the job's start; of the present step. */
  sinceMs: number;
  phase: string | undefined;
  fetch: RunningFetch | undefined;
  /** The machine that builds the same. */
  racing: string | undefined;
}

/** What the live tree shows of a job: the sum of its events. */
export interface JobState {
  planned: boolean;
  toBuild: number;
  toFetch: number;
  built: number;
  failed: number;
  skipped: number;
  /** By machine and derivation: a race has the same derivation on two machines. */
  running: Map<string, RunningBuild>;
  /** Machines in the order in which the job met them. */
  peers: Map<string, { up: boolean; built: number }>;
  resultFetch: RunningFetch | undefined;
  lastAtMs: number;
}

export function initialJobState(): JobState {
  return {
    planned: false,
    toBuild: 0,
    toFetch: 0,
    built: 0,
    failed: 0,
    skipped: 0,
    running: new Map(),
    peers: new Map(),
    resultFetch: undefined,
    lastAtMs: 0,
  };
}

const keyOf = (peer: string, drvPath: string) => `${peer}\u0000${drvPath}`;

/** Takes one event into the state (in place). Unknown and repeated events are harmless. */
export function applyEvent(state: JobState, event: JobEvent): void {
  state.lastAtMs = Math.max(state.lastAtMs, event.atMs);
  switch (event.type) {
    case 'planned':
      state.planned = true;
      state.toBuild = event.toBuild;
      state.toFetch = event.toFetch;
      return;
    case 'leased':
      putRunning(state, event, 'leased');
      return;
    case 'fetching':
      putRunning(state, event, 'fetching').fetch = newFetch(event);
      return;
    case 'fetch-progress': {
      const known = state.running.get(keyOf(event.peer, event.drvPath));
      if (known?.step === 'building') return;
      const build = known?.step === 'fetching' ? known : putRunning(state, event, 'fetching');
      build.fetch = newFetch({ ...event, paths: event.pathsTotal, bytes: event.bytesTotal, progress: event });
      return;
    }
    case 'started':
      putRunning(state, event, 'building');
      return;
    case 'phase':
      for (const build of state.running.values()) {
        const isIt = event.peer === undefined || event.peer === build.peer;
        if (isIt && build.drvPath === event.drvPath && build.step === 'building') build.phase = event.phase;
      }
      return;
    case 'race': {
      const racer = state.running.get(keyOf(event.peer, event.drvPath));
      if (racer !== undefined) racer.racing = event.against;
      return;
    }
    case 'race-finished':
      endAt(state, event.loser, event.drvPath);
      return;
    case 'requeued':
    case 'returned':
      endAt(state, event.peer, event.drvPath);
      return;
    case 'finished':
      for (const [key, build] of state.running)
        if (build.drvPath === event.drvPath) state.running.delete(key);
      if (event.outcome === 'built') {
        state.built += 1;
        if (event.peer !== null) peerOf(state, event.peer).built += 1;
      } else if (event.outcome === 'failed') state.failed += 1;
      else if (event.outcome === 'skipped') state.skipped += 1;
      return;
    case 'peer':
      peerOf(state, event.peer).up = event.state === 'up';
      return;
    case 'result-fetch':
      state.resultFetch = event.done ? undefined : newFetch(event);
      return;
    case 'job-finished':
      state.running.clear();
      state.resultFetch = undefined;
      return;
    case 'job-started':
    case 'log':
    case 'note':
    case 'outputs-differ':
      return;
  }
}

function newFetch(event: {
  paths: number;
  bytes: number;
  atMs: number;
  progress?: FetchProgress | undefined;
}): RunningFetch {
  return { paths: event.paths, bytes: event.bytes, progress: event.progress, saidMs: event.atMs };
}

/** A machine has a derivation no more; whoever raced it there goes on alone. */
function endAt(state: JobState, peer: string, drvPath: string): void {
  state.running.delete(keyOf(peer, drvPath));
  for (const build of state.running.values())
    if (build.drvPath === drvPath && build.racing === peer) build.racing = undefined;
}

function peerOf(state: JobState, peer: string): { up: boolean; built: number } {
  let entry = state.peers.get(peer);
  if (entry === undefined) {
    entry = { up: true, built: 0 };
    state.peers.set(peer, entry);
  }
  return entry;
}

function putRunning(
  state: JobState,
  event: { peer: string; drvPath: string; name: string; atMs: number },
  step: RunningBuild['step'],
): RunningBuild {
  peerOf(state, event.peer).up = true;
  const build: RunningBuild = {
    drvPath: event.drvPath,
    name: event.name,
    peer: event.peer,
    step,
    sinceMs: event.atMs,
    phase: undefined,
    fetch: undefined,
    racing: state.running.get(keyOf(event.peer, event.drvPath))?.racing,
  };
  state.running.set(keyOf(event.peer, event.drvPath), build);
  return build;
}
