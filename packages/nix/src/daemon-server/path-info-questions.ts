import { Operation } from '../daemon/constants.ts';
import { WireWriter } from '../daemon/wire-writer.ts';
import { answerLayout } from './answer-layouts.ts';
import type { AnswerStream } from './answer-stream.ts';
import { readPath } from './client-requests.ts';
import { ClosureWalk } from './closure-walk.ts';
import type { AgreedHandshake } from './handshake.ts';
import type { PathInfoCache } from './path-info-cache.ts';

/** Where questions and answers go. */
export interface QuestionEnds {
  toDaemon(bytes: Buffer): void;
  toClient(bytes: Buffer): void;
}

/**
 * QueryPathInfo with answers asked for ahead, over the client's own connection to the daemon, so that a walk over a closure costs
 * the client no round trip to the daemon for each path. The answers are the daemon's own bytes.
 */
export class PathInfoQuestions {
  readonly #answers: AnswerStream;
  readonly #ends: QuestionEnds;
  readonly #walk = new ClosureWalk(() => performance.now());
  readonly #layout: NonNullable<ReturnType<typeof answerLayout>>;
  readonly #handshake: AgreedHandshake;
  readonly #cache: PathInfoCache | undefined;
  /** What the client waits for of what is on its way. */
  #awaited: string | undefined;

  constructor(
    answers: AnswerStream,
    ends: QuestionEnds,
    handshake: AgreedHandshake,
    cache: PathInfoCache | undefined,
  ) {
    this.#handshake = handshake;
    this.#cache = cache;
    this.#answers = answers;
    this.#ends = ends;
    this.#layout = answerLayout(Operation.QueryPathInfo, handshake)!;
  }

  /** The client waits for an answer that was asked for ahead. */
  get isClientWaiting(): boolean {
    return this.#awaited !== undefined;
  }

  /** What is on its way is for later: it may wait where it is. */
  get isAhead(): boolean {
    return this.#awaited === undefined && this.#walk.isAhead;
  }

  /** Takes a client's whole request. */
  ask(request: Buffer): void {
    if (this.#answers.isClientWaiting || this.#awaited !== undefined) {
      // A client that does not wait for answers gets them in its own order.
      this.#walk.end();
      this.#answers.expect({ layout: this.#layout, toClient: true });
      this.#ends.toDaemon(request);
      return;
    }
    const path = readPath(request);
    const cached = this.#cache?.get(this.#handshake, path);
    if (cached !== undefined) {
      this.#ends.toClient(cached);
      return;
    }
    const kept = this.#walk.ask(path);
    if (kept !== undefined) this.#ends.toClient(kept);
    else if (this.#walk.isOnWay(path)) this.#awaited = path;
    else {
      const askedAt = this.#cache?.stamp();
      const whole = (answer: Buffer): void => {
        this.#cache?.put(this.#handshake, path, answer, askedAt);
        this.#walk.answered(answer);
        this.#askAhead();
      };
      this.#answers.expect({ layout: this.#layout, toClient: true, whole });
      this.#ends.toDaemon(request);
    }
    this.#askAhead();
  }

  /** The client asks for something else: what is known may have changed after it. */
  end(): void {
    this.#cache?.lookAgain();
    this.#walk.end();
  }

  #askAhead(): void {
    const paths = this.#walk.takeNext();
    if (paths.length === 0) return;
    const askedAt = this.#cache?.stamp();
    const requests = new WireWriter(paths.length * 128);
    for (const path of paths) {
      requests.u64(Operation.QueryPathInfo).string(path);
      const whole = (answer: Buffer): void => {
        this.#cache?.put(this.#handshake, path, answer, askedAt);
        const isAwaited = this.#awaited === path;
        if (isAwaited) {
          this.#awaited = undefined;
          this.#ends.toClient(answer);
        }
        this.#walk.arrived(path, answer, isAwaited);
        this.#askAhead();
      };
      this.#answers.expect({ layout: this.#layout, toClient: false, whole });
    }
    this.#ends.toDaemon(requests.take());
  }
}
