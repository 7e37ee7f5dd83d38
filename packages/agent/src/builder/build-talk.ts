import type { ClientTalk } from '@mesh/nix';
import type { JobEvent } from '@mesh/wire';

/** Nix's own numbers (`src/libutil/include/nix/util/logging.hh`). */
const ACT_BUILD = 105;
const RESULT_LOG_LINE = 101;
const RESULT_PHASE = 104;
const LEVEL_INFO = 3;

/** Says of the build of one derivation what a daemon that builds it itself would say: an activity with its lines and phases. */
export class BuildTalk {
  readonly #talk: ClientTalk;
  readonly #drvPath: string;
  #activity: number | undefined;

  constructor(talk: ClientTalk, drvPath: string) {
    this.#talk = talk;
    this.#drvPath = drvPath;
  }

  hear(event: JobEvent): void {
    if (!('drvPath' in event) || event.drvPath !== this.#drvPath) return;
    switch (event.type) {
      case 'started':
        this.#begin(event.peer);
        break;
      case 'log':
        for (const line of event.lines) this.#talk.result(this.#begin(''), RESULT_LOG_LINE, [line]);
        break;
      case 'phase':
        this.#talk.result(this.#begin(event.peer ?? ''), RESULT_PHASE, [event.phase]);
        break;
      case 'requeued':
      case 'returned':
      case 'finished':
        this.end();
        break;
    }
  }

  end(): void {
    if (this.#activity !== undefined) this.#talk.stopActivity(this.#activity);
    this.#activity = undefined;
  }

  #begin(peer: string): number {
    this.#activity ??= this.#talk.startActivity({
      level: LEVEL_INFO,
      type: ACT_BUILD,
      text: `building '${this.#drvPath}'${peer === '' ? '' : ` on '${peer}'`}`,
      fields: [this.#drvPath, peer, 1, 1],
    });
    return this.#activity;
  }
}
