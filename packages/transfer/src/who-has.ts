import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Logger } from '@mesh/net';
import { HAVE_TIMEOUT_MS } from './constants.ts';
import { messageOf } from './errors.ts';
import type { ProbableHolders } from './holdings/probable-holders.ts';
import type { TransferNet } from './net.ts';
import type { StoreClient } from './store-client.ts';

/** More time for a question about many paths: several times what a loaded daemon takes to look one up. */
const HAVE_TIMEOUT_PER_PATH_MS = 0.1;

/** Paths held against all summaries between two turns of the event loop: a few milliseconds with 50 members. */
const PATHS_PER_TURN = 250;

/** How well summaries answer. */
export interface WhoHasCounters {
  /** Questions asked of members. */
  questions: number;
  /** Members that did not have to be asked. */
  savedQuestions: number;
  /** Paths that a member's summary said it has, and it has not. */
  wrongGuesses: number;
}

export interface WhoHasComponents {
  readonly net: Pick<TransferNet, 'connectedMembers'>;
  readonly client: Pick<StoreClient, 'have'>;
  readonly logger: Pick<Logger, 'debug'>;
  /** Members are asked only for what their summaries say they have; without this, for everything. */
  readonly summaries?: ProbableHolders;
  readonly counters?: WhoHasCounters;
}

/**
 * Which connected members hold which of the paths: one batched question to each that may hold some, all at once; who has not
 * answered in time (HAVE_TIMEOUT_MS, longer for thousands of paths) counts as holding nothing. Paths that nobody has are left out.
 * With `patienceMs` stragglers are waited for that long while there is a path of which nobody has said that it has it.
 */
export async function whoHas(
  paths: readonly string[],
  components: WhoHasComponents,
  options: { readonly signal?: AbortSignal; readonly patienceMs?: number } = {},
): Promise<Map<string, string[]>> {
  const holders = new Map<string, string[]>();
  if (paths.length === 0) return holders;
  const { net, client, logger, summaries, counters } = components;
  const connected = net.connectedMembers();
  const unknown = summaries?.unknown() ?? connected;
  const questions = new Map<string, readonly string[]>(unknown.map((peerId) => [peerId, paths]));
  for (const [peerId, probable] of await probablePaths(paths, summaries)) questions.set(peerId, probable);
  if (counters !== undefined) {
    counters.questions += questions.size;
    counters.savedQuestions += connected.length - questions.size;
  }
  const settled = new AbortController();
  let isLate = false;
  /** A straggler is worth waiting for only while something has no holder. */
  const settle = () => {
    if (isLate && paths.every((path) => holders.has(path))) settled.abort();
  };
  const late = setTimeout(() => {
    isLate = options.patienceMs !== undefined;
    settle();
  }, soonMs(paths));
  await Promise.all(
    [...questions].map(async ([peerId, asked]) => {
      const timeout = AbortSignal.timeout(options.patienceMs ?? soonMs(asked));
      const signals = [timeout, settled.signal, ...(options.signal === undefined ? [] : [options.signal])];
      const signal = AbortSignal.any(signals);
      try {
        const had = await client.have(peerId, asked, { signal });
        if (counters !== undefined && asked !== paths) counters.wrongGuesses += asked.length - had.size;
        for (const path of had) {
          const known = holders.get(path);
          if (known === undefined) holders.set(path, [peerId]);
          else known.push(peerId);
        }
        settle();
      } catch (error) {
        options.signal?.throwIfAborted();
        logger.debug({ peerId, reason: messageOf(error) }, 'a member did not say which paths it has');
      }
    }),
  ).finally(() => clearTimeout(late));
  return holders;
}

/** When an answer about so many paths is late. */
function soonMs(asked: readonly string[]): number {
  return HAVE_TIMEOUT_MS + Math.ceil(asked.length * HAVE_TIMEOUT_PER_PATH_MS);
}

/** By member, what its summary says it has. */
async function probablePaths(
  paths: readonly string[],
  summaries: ProbableHolders | undefined,
): Promise<Map<string, string[]>> {
  const probable = new Map<string, string[]>();
  if (summaries === undefined) return probable;
  for (const [index, path] of paths.entries()) {
    if (index % PATHS_PER_TURN === PATHS_PER_TURN - 1) await turnOfTheLoop();
    for (const peerId of summaries.of(path)) {
      const known = probable.get(peerId);
      if (known === undefined) probable.set(peerId, [path]);
      else known.push(path);
    }
  }
  return probable;
}
