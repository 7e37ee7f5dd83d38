import type { Duplex } from 'node:stream';
import { CLOSE_TIMEOUT_MS, Operation } from '../daemon/constants.ts';
import { setOptionsRequest } from '../daemon/requests.ts';
import { NixError } from '../errors.ts';
import { answerLayout } from './answer-layouts.ts';
import { AnswerStream } from './answer-stream.ts';
import { errorMessage, handshakeError } from './answers.ts';
import { askForBuild, type Outcome } from './build-requests.ts';
import { clientError } from './client-error.ts';
import { readSetOptions, UNSAID_SETTINGS, withoutOverrides } from './client-requests.ts';
import { ClientTalkWriter } from './client-talk.ts';
import { LINGER_MS, MAX_AHEAD_BYTES } from './constants.ts';
import type { ClientSettings } from './handlers.ts';
import { type AgreedHandshake, followHandshake } from './handshake.ts';
import { isHeldOperation } from './held-operations.ts';
import { PathInfoQuestions } from './path-info-questions.ts';
import { askForNar, askForPathInfo, askWhetherValid } from './path-requests.ts';
import { requestLayout } from './request-layouts.ts';
import { RequestStream } from './request-stream.ts';
import type { ServeDaemonClientInit } from './serve-daemon-client.ts';
import { endSoon } from './stream-end.ts';

/** `serving`: a handler works for the client; `raw`: everything passes as it comes. */
type Phase = 'handshake' | 'requests' | 'serving' | 'raw' | 'over';

/** One client and its connection to the real daemon. */
export class ServedConnection {
  readonly #client: Duplex;
  readonly #daemon: Duplex;
  readonly #init: ServeDaemonClientInit;
  readonly #requests: RequestStream;
  readonly #answers = new AnswerStream((bytes) => this.#toClient(bytes));
  #pathInfos: PathInfoQuestions | undefined;
  #phase: Phase = 'handshake';
  #heard = { client: Buffer.alloc(0), daemon: Buffer.alloc(0), passed: 0 };
  #handshake: AgreedHandshake = { minor: 0, features: new Set(), trust: 'unknown' };
  #settings: ClientSettings = UNSAID_SETTINGS;
  #ahead: Buffer[] = [];
  #aheadBytes = 0;
  #serving: AbortController | undefined;
  /** What a client understands that is older than what is followed here. */
  #olderMinor: number | undefined;
  /** A fault of this program's own. */
  #failure: { readonly error: unknown } | undefined;

  constructor(init: ServeDaemonClientInit, daemon: Duplex) {
    this.#init = init;
    this.#client = init.client;
    this.#daemon = daemon;
    this.#requests = new RequestStream(
      {
        layout: (operation) => {
          const refusal = init.refusal?.(operation);
          if (refusal !== undefined) throw new NixError('NIX_CLIENT_REFUSED', refusal);
          return requestLayout(operation, this.#handshake.features);
        },
        isHeld: (operation) => isHeldOperation(operation, init),
        passes: (operation) => {
          // Too long to be read, so it might ask for anything.
          if (init.refusal !== undefined && isHeldOperation(operation, init)) {
            throw clientError('a request that is too long');
          }
          this.#passes(operation);
        },
        whole: (operation, request) => this.#whole(operation, request),
        write: (bytes) => this.#toDaemon(bytes),
      },
      clientError,
    );
  }

  /** Resolves when both sides are closed. */
  async run(): Promise<void> {
    const [client, daemon] = [this.#client, this.#daemon];
    const closed = [client, daemon].map(
      (side) => new Promise<void>((resolve) => (side.closed ? resolve() : side.once('close', resolve))),
    );
    client.on('drain', () => daemon.resume());
    daemon.on('drain', () => {
      if (this.#aheadBytes <= MAX_AHEAD_BYTES) client.resume();
    });
    // An error is an end, and 'close' follows it.
    for (const side of [client, daemon]) side.on('error', () => side.destroy());
    client.on('end', () => this.#clientEnded()).on('close', () => this.#clientEnded());
    daemon.on('end', () => this.#daemonEnded()).on('close', () => this.#daemonEnded());
    client.on('data', (chunk: Buffer) => this.#guarded(() => this.#fromClient(chunk)));
    daemon.on('data', (chunk: Buffer) => this.#guarded(() => this.#fromDaemon(chunk)));
    client.resume();
    daemon.resume();
    await Promise.all(closed);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #fromDaemon(chunk: Buffer): void {
    if (this.#phase === 'handshake') {
      this.#heard.daemon = Buffer.concat([this.#heard.daemon, chunk]);
      this.#toClient(chunk);
      this.#shakeHands();
    } else if (this.#pathInfos === undefined) this.#toClient(chunk);
    else {
      this.#answers.push(chunk);
      this.#letWait();
    }
  }

  /**
   * Answers for later gather in the daemon's socket: to be woken for each would cost more than each is worth. Whatever is asked of the
   * daemon, or awaited, wakes it again.
   */
  #letWait(): void {
    if (this.#answers.isClientWaiting || this.#phase !== 'requests') return;
    if (this.#pathInfos?.isAhead === true) this.#daemon.pause();
  }

  #fromClient(chunk: Buffer): void {
    if (this.#phase === 'raw') this.#toDaemon(chunk);
    else if (this.#phase === 'requests') this.#follow(chunk);
    else if (this.#phase === 'serving') this.#keep(chunk);
    else if (this.#phase === 'handshake') {
      this.#heard.client = Buffer.concat([this.#heard.client, chunk]);
      this.#shakeHands();
    }
  }

  #shakeHands(): void {
    const heard = this.#heard;
    const progress = followHandshake(heard.client, heard.daemon);
    const certain = progress.type === 'not-followed' ? heard.client.length : progress.clientBytes;
    if (certain > heard.passed) this.#toDaemon(heard.client.subarray(heard.passed, certain));
    heard.passed = certain;
    if (progress.type === 'going-on') return;
    if (progress.type === 'not-followed') {
      this.#olderMinor = progress.minor;
      this.#passThrough(progress.reason);
      return;
    }
    this.#handshake = progress.handshake;
    this.#phase = 'requests';
    this.#pathInfos = new PathInfoQuestions(
      this.#answers,
      { toDaemon: (bytes) => this.#toDaemon(bytes), toClient: (bytes) => this.#toClient(bytes) },
      progress.handshake,
      this.#init.pathInfos,
    );
    this.#heard = { client: Buffer.alloc(0), daemon: Buffer.alloc(0), passed: 0 };
    // The handshake ends with messages; what came of them is with the client already.
    this.#answers.expect({ layout: [], toClient: true });
    this.#answers.skip(heard.daemon.subarray(progress.daemonBytes));
    this.#follow(heard.client.subarray(certain));
  }

  #follow(chunk: Buffer): void {
    const taken = this.#requests.push(chunk);
    const rest = chunk.subarray(taken);
    if (this.#phase === 'serving') this.#keep(rest);
    else if (taken < chunk.length || this.#requests.lost !== undefined) {
      this.#answers.expect({ layout: undefined, toClient: true });
      this.#passThrough(`operation ${this.#requests.lost} is not known`);
      if (rest.length > 0) this.#toDaemon(rest);
    }
  }

  /** A request goes to the daemon, whose answer comes after those it owes. */
  #passes(operation: number): void {
    if (operation !== Operation.IsValidPath) this.#pathInfos?.end();
    this.#answers.expect({ layout: answerLayout(operation, this.#handshake), toClient: true });
  }

  /** @returns whether a handler works on it, so that the requests after it have to wait */
  #whole(operation: number, request: Buffer): boolean {
    if (operation === Operation.QueryPathInfo && this.#init.handlers.queryPathInfo === undefined) {
      this.#pathInfos?.ask(request);
      if (this.#pathInfos?.isClientWaiting) this.#daemon.resume();
      return false;
    }
    if (operation === Operation.SetOptions) {
      this.#settings = readSetOptions(request);
      if (this.#init.refusal !== undefined) {
        this.#passes(operation);
        this.#toDaemon(Buffer.from(setOptionsRequest(withoutOverrides(this.#settings))));
        return false;
      }
    }
    // A client that does not wait for answers is served by the daemon alone, which keeps their order.
    else if (!this.#answers.isClientWaiting && this.#pathInfos?.isClientWaiting === false) {
      this.#phase = 'serving';
      void this.#serve(operation, request);
      return true;
    }
    this.#passes(operation);
    this.#toDaemon(request);
    return false;
  }

  async #serve(operation: number, request: Buffer): Promise<void> {
    const serving = new AbortController();
    this.#serving = serving;
    const talk = ClientTalkWriter.over(this.#client, serving.signal);
    let outcome: Outcome | 'written';
    try {
      outcome = await this.#ask(operation, request, talk);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      outcome = { type: 'answer', bytes: errorMessage(text) };
    }
    this.#serving = undefined;
    if (this.#phase !== 'serving') return;
    talk.end();
    this.#guarded(() => {
      if (outcome !== 'written') this.#conclude(operation, request, outcome);
      this.#goOn();
    });
  }

  #ask(operation: number, request: Buffer, talk: ClientTalkWriter): Promise<Outcome | 'written'> {
    const { client, handlers, storeDirectory } = this.#init;
    if (operation === Operation.QueryPathInfo) return askForPathInfo(request, handlers);
    if (operation === Operation.NarFromPath) {
      const isValid = (path: string) =>
        askWhetherValid(path, this.#answers, (bytes) => this.#toDaemon(bytes));
      return askForNar(request, { client, handlers, storeDirectory, isValid });
    }
    return askForBuild(request, handlers, talk, this.#settings, this.#handshake);
  }

  #conclude(operation: number, request: Buffer, outcome: Outcome): void {
    switch (outcome.type) {
      case 'answer':
        this.#toClient(outcome.bytes);
        break;
      case 'pass':
        this.#passes(operation);
        this.#toDaemon(request);
        break;
      case 'ask-for-the-rest':
        this.#pathInfos?.end();
        this.#answers.expect({
          layout: answerLayout(operation, this.#handshake),
          toClient: false,
          whole: (answer) => this.#toClient(outcome.merge(answer)),
        });
        this.#toDaemon(outcome.request);
    }
  }

  #keep(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#ahead.push(chunk);
    this.#aheadBytes += chunk.length;
    // Its end is not noticed then; only a client that does not wait for answers comes here.
    if (this.#aheadBytes > MAX_AHEAD_BYTES) this.#client.pause();
  }

  #goOn(): void {
    this.#phase = 'requests';
    const ahead = Buffer.concat(this.#ahead);
    this.#ahead = [];
    this.#aheadBytes = 0;
    if (!this.#daemon.writableNeedDrain) this.#client.resume();
    if (ahead.length > 0) this.#follow(ahead);
  }

  #passThrough(reason: string): void {
    if (this.#init.refusal !== undefined) {
      throw new NixError(
        'NIX_CLIENT_REFUSED',
        `The mesh does not understand this Nix (${reason}): use Nix 2.8 or newer there, or a newer mesh here.`,
      );
    }
    this.#phase = 'raw';
    this.#init.onPassedThrough?.(reason);
  }

  #toDaemon(bytes: Buffer): void {
    if (!this.#daemon.write(bytes)) this.#client.pause();
    if (!this.#client.writableNeedDrain) this.#daemon.resume();
  }

  #toClient(bytes: Buffer): void {
    if (!this.#client.write(bytes)) this.#daemon.pause();
  }

  /** What a side sends that nothing real sends ends the connection. */
  #guarded(work: () => void): void {
    if (this.#phase === 'over') return;
    try {
      work();
    } catch (error) {
      const older = this.#olderMinor;
      if (error instanceof NixError)
        this.#toClient(
          older === undefined ? errorMessage(error.message) : handshakeError(error.message, older),
        );
      else this.#failure = { error };
      this.#daemonEnded();
    }
  }

  /** Whatever runs for the client alone ends; what it sent before still reaches the daemon. */
  #clientEnded(): void {
    if (this.#phase === 'over') {
      this.#client.destroy();
      return;
    }
    this.#phase = 'over';
    this.#serving?.abort();
    this.#client.destroy();
    endSoon(this.#daemon, CLOSE_TIMEOUT_MS);
  }

  #daemonEnded(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#serving?.abort();
    this.#daemon.destroy();
    // Read on, so that its end is noticed.
    this.#client.resume();
    endSoon(this.#client, LINGER_MS);
  }
}
