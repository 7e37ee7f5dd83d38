/** Asked at 0, 1 and 3 seconds, then after twice as long each time, up to this. */
const LONGEST_PAUSE_MS = 120_000;
/** A record is not multicast again on a link within a second (RFC 6762 §6). */
export const MIN_ANSWER_INTERVAL_MS = 1_000;
/** Answers wait a random moment, so that not all of a LAN speak at once. */
const JITTER_MIN_MS = 20;
const JITTER_MAX_MS = 120;

/** Milliseconds between query `sent` and the one before it, counting from 0: the first is at once. */
export function pauseBeforeQuery(sent: number): number {
  if (sent === 0) return 0;
  return Math.min(LONGEST_PAUSE_MS, 1_000 * 2 ** Math.min(sent - 1, 16));
}

/** How long to wait with an answer; undefined where our record was multicast too lately to be needed. */
export function answerDelay(sinceLastAnswerMs: number, random: number): number | undefined {
  if (sinceLastAnswerMs < MIN_ANSWER_INTERVAL_MS) return undefined;
  return JITTER_MIN_MS + random * (JITTER_MAX_MS - JITTER_MIN_MS);
}
