import type { ClientTalk } from '@mesh/nix';
import type { JobEvent } from '@mesh/wire';

/** Nix's own numbers (`src/libutil/include/nix/util/logging.hh`). */
const ACTIVITY = { copyPaths: 103, builds: 104, build: 105 } as const;
const RESULT = { logLine: 101, setPhase: 104, progress: 105 } as const;
const LEVEL = { error: 0, info: 3 } as const;

/** A derivation that is being built: on which machines, and the activity that tells of it. */
interface Building {
  readonly peers: string[];
  activity: number | undefined;
}

/**
 * Tells a client of Nix what happens to a job, in the words of a daemon that builds with remote builders: one activity for all builds
 * with its progress, one for each build with its log lines and phases, one for what comes home.
 */
export class JobActivities {
  readonly #talk: ClientTalk;
  readonly #building = new Map<string, Building>();
  #home = '';
  #builds: number | undefined;
  #copies: number | undefined;
  #expected = 0;
  #done = 0;
  #failed = 0;
  #dropped = 0;

  constructor(talk: ClientTalk) {
    this.#talk = talk;
  }

  hear(event: JobEvent): void {
    switch (event.type) {
      case 'job-started':
        this.#home = event.home;
        break;
      case 'planned':
        this.#expected = event.toBuild;
        if (this.#expected > 0) this.#progress();
        break;
      case 'started':
        this.#started(event.drvPath, event.peer);
        break;
      case 'log':
        for (const line of event.lines) this.#about(event.drvPath, RESULT.logLine, line);
        break;
      case 'phase':
        this.#about(event.drvPath, RESULT.setPhase, event.phase);
        break;
      case 'requeued':
      case 'returned':
        this.#left(event.drvPath, event.peer);
        break;
      case 'finished':
        this.#finished(event.drvPath, event.outcome);
        break;
      case 'result-fetch':
        this.#fetched(event.done ? event.paths : (event.progress?.pathsDone ?? 0), event.paths, event.done);
        break;
      case 'note':
        this.#talk.line(event.level === 'warn' ? `warning: ${event.message}` : event.message);
        break;
    }
  }

  /** Ends every activity that is left. */
  end(): void {
    for (const { activity } of this.#building.values()) this.#stop(activity);
    this.#building.clear();
    this.#stop(this.#copies);
    this.#stop(this.#builds);
    this.#copies = undefined;
    this.#builds = undefined;
  }

  #started(drvPath: string, peer: string): void {
    const building = this.#building.get(drvPath);
    if (building !== undefined) {
      // A race: Nix knows one build of a derivation.
      building.peers.push(peer);
      return;
    }
    this.#building.set(drvPath, { peers: [peer], activity: this.#start(drvPath, peer) });
    this.#progress();
  }

  #left(drvPath: string, peer: string): void {
    const building = this.#building.get(drvPath);
    if (building === undefined) return;
    const isTold = building.peers[0] === peer;
    const at = building.peers.indexOf(peer);
    if (at !== -1) building.peers.splice(at, 1);
    if (!isTold) return;
    this.#stop(building.activity);
    const [other] = building.peers;
    if (other === undefined) this.#building.delete(drvPath);
    else building.activity = this.#start(drvPath, other);
    this.#progress();
  }

  #finished(drvPath: string, outcome: Extract<JobEvent, { type: 'finished' }>['outcome']): void {
    const activity = this.#building.get(drvPath)?.activity;
    this.#building.delete(drvPath);
    if (outcome === 'built') this.#done += 1;
    else if (outcome === 'failed') this.#failed += 1;
    else this.#dropped += 1;
    // In a daemon's own order.
    this.#progress();
    this.#stop(activity);
  }

  #fetched(done: number, paths: number, isOver: boolean): void {
    this.#copies ??= this.#talk.startActivity({ level: LEVEL.error, type: ACTIVITY.copyPaths, text: '' });
    this.#talk.result(this.#copies, RESULT.progress, [done, paths, isOver ? 0 : 1, 0]);
  }

  #about(drvPath: string, type: number, text: string): void {
    const activity = this.#building.get(drvPath)?.activity;
    if (activity !== undefined) this.#talk.result(activity, type, [text]);
  }

  #start(drvPath: string, peer: string): number {
    const machine = peer === this.#home ? '' : peer;
    return this.#talk.startActivity({
      level: LEVEL.info,
      type: ACTIVITY.build,
      text: `building '${drvPath}'${machine === '' ? '' : ` on '${machine}'`}`,
      fields: [drvPath, machine, 1, 1],
    });
  }

  #progress(): void {
    this.#builds ??= this.#talk.startActivity({ level: LEVEL.error, type: ACTIVITY.builds, text: '' });
    const expected = Math.max(this.#expected - this.#dropped, this.#done + this.#failed);
    this.#talk.result(this.#builds, RESULT.progress, [
      this.#done,
      expected,
      this.#building.size,
      this.#failed,
    ]);
  }

  #stop(activity: number | undefined): void {
    if (activity !== undefined) this.#talk.stopActivity(activity);
  }
}
