import type { Clock, Timer } from '@mesh/net';
import type { DerivationNode, Prediction } from '@mesh/schedule';
import type { PlannedDerivation } from '../job/planner.ts';

/** What jobs wait for is predicted anew this long after a build was learned from. */
const INTERVAL_MS = 5_000;
/** Of the agent's time rounds may take this share: those over the largest graphs come less often. */
const TIME_SHARE = 0.05;
/** Looked at in one turn, a few microseconds each; leases and heartbeats get their turn in between. */
const MAX_A_TURN = 2_000;
const TURN_PAUSE_MS = 5;
/** A prediction that moves by less (in logarithms, like its spread) changes no decision worth the trouble. */
const WORTH_TELLING = Math.log(1.2);

type Predicted = Pick<DerivationNode, 'predictedMs' | 'history'>;

export interface FreshPredictionsComponents {
  clock: Clock;
  /** All derivations of the jobs under way. May change while it is being walked through. */
  planned(): Iterable<PlannedDerivation>;
  /** Whether what is predicted of it still matters: no machine has it yet. */
  isOpen(drvPath: string): boolean;
  predict(planned: PlannedDerivation): Prediction;
  /** These predictions are others than before. */
  changed(predictions: ReadonlyMap<string, Predicted>): void;
}

/** Predicts anew, while jobs run, what is still to be built, as the builds that end teach better. */
export class FreshPredictions {
  readonly #components: FreshPredictionsComponents;
  #timer: Timer | undefined;
  /** A build ended while a round was under way. */
  #again = false;
  #walking = false;
  #moved = new Map<string, Predicted>();
  #spentMs = 0;

  constructor(components: FreshPredictionsComponents) {
    this.#components = components;
  }

  /** A build was learned from. */
  learned(): void {
    if (this.#walking) this.#again = true;
    else {
      const delayMs = Math.max(INTERVAL_MS, this.#spentMs / TIME_SHARE);
      this.#timer ??= this.#components.clock.after(delayMs, () => this.#begin());
    }
  }

  /** Nothing runs any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#walking = false;
    this.#again = false;
    this.#moved = new Map();
  }

  #begin(): void {
    this.#walking = true;
    this.#spentMs = 0;
    this.#turn(this.#components.planned()[Symbol.iterator]());
  }

  #turn(rest: Iterator<PlannedDerivation>): void {
    const { clock } = this.#components;
    const startedMs = clock.monotonic();
    let next = rest.next();
    for (let seen = 0; next.done !== true; next = rest.next()) {
      const found = this.#look(next.value);
      if (found !== undefined) this.#moved.set(next.value.node.drvPath, found);
      seen += 1;
      if (seen === MAX_A_TURN) break;
    }
    if (next.done === true) this.#tell();
    this.#spentMs += clock.monotonic() - startedMs;
    if (next.done !== true) {
      this.#timer = clock.after(TURN_PAUSE_MS, () => this.#turn(rest));
      return;
    }
    const again = this.#again;
    this.stop();
    if (again) this.learned();
  }

  /** All at once: telling makes priorities due for the whole graph. What has got a machine meanwhile is left out. */
  #tell(): void {
    const moved = [...this.#moved].filter(([drvPath]) => this.#components.isOpen(drvPath));
    if (moved.length > 0) this.#components.changed(new Map(moved));
  }

  #look(planned: PlannedDerivation): Predicted | undefined {
    const { node } = planned;
    // What is only fetched takes no build's time.
    if (node.place === 'substitute' || !this.#components.isOpen(node.drvPath)) return undefined;
    const { predictedMs, history } = this.#components.predict(planned);
    return differs(node, { predictedMs, history }) ? { predictedMs, history } : undefined;
  }
}

function differs(before: Predicted, now: Predicted): boolean {
  const [was, is] = [before.history, now.history];
  return (
    Math.abs(Math.log(now.predictedMs / before.predictedMs)) > WORTH_TELLING ||
    was?.basis !== is?.basis ||
    Math.abs((is?.spread ?? 0) - (was?.spread ?? 0)) > WORTH_TELLING ||
    was?.neverRace !== is?.neverRace ||
    was?.ranOutOfMemory !== is?.ranOutOfMemory ||
    Math.abs(Math.log((is?.memoryPeakBytes ?? 1) / (was?.memoryPeakBytes ?? 1))) > WORTH_TELLING
  );
}
