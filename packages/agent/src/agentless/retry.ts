import { FIRST_PAUSE_MS, LONGEST_PAUSE_MS, STABLE_MS } from './constants.ts';

/** How things stand with a machine that is reached only when there is work. All times by one clock that never goes back. */
export interface RetryState {
  readonly phase: 'idle' | 'connecting' | 'up' | 'resting';
  /** There is work it could do. */
  readonly wanted: boolean;
  /** In a row. */
  readonly failures: number;
  /** Since when it is up. */
  readonly upSinceMs: number;
  /** While it rests: until when. */
  readonly retryAtMs: number;
  /** What happened last, where that was no success. */
  readonly trouble?: string;
}

export type RetryEvent = { readonly nowMs: number } & (
  | { readonly type: 'wanted' | 'unwanted' | 'connected' | 'tick' }
  /** `random`: 0 to 1, so that many machines are not retried at one moment. */
  | { readonly type: 'failed' | 'lost'; readonly message: string; readonly random: number }
);

export type RetryEffect =
  | { readonly type: 'connect' }
  | { readonly type: 'disconnect' }
  | { readonly type: 'wake-at'; readonly atMs: number };

export const initialRetry: RetryState = {
  phase: 'idle',
  wanted: false,
  failures: 0,
  upSinceMs: 0,
  retryAtMs: 0,
};

/** Connects when there is work; after a failure leaves the machine alone, longer each time. */
export function stepRetry(
  state: RetryState,
  event: RetryEvent,
): { readonly state: RetryState; readonly effects: readonly RetryEffect[] } {
  switch (event.type) {
    case 'wanted':
      return settle({ ...state, wanted: true }, event.nowMs);
    case 'unwanted': {
      const rested = { ...state, wanted: false };
      if (state.phase !== 'up') return { state: rested, effects: [] };
      return { state: { ...rested, phase: 'idle' }, effects: [{ type: 'disconnect' }] };
    }
    case 'connected': {
      if (state.phase !== 'connecting') return { state, effects: [] };
      const { trouble: _, ...sound } = state;
      return { state: { ...sound, phase: 'up', upSinceMs: event.nowMs }, effects: [] };
    }
    case 'failed':
    case 'lost':
      return failed(state, event.message, event.nowMs, event.random);
    case 'tick':
      return settle(state, event.nowMs);
  }
}

function settle(state: RetryState, nowMs: number): ReturnType<typeof stepRetry> {
  const isDue = state.phase === 'idle' || (state.phase === 'resting' && nowMs >= state.retryAtMs);
  if (!isDue) return { state, effects: [] };
  if (!state.wanted) return { state: { ...state, phase: 'idle' }, effects: [] };
  return { state: { ...state, phase: 'connecting' }, effects: [{ type: 'connect' }] };
}

function failed(
  state: RetryState,
  trouble: string,
  nowMs: number,
  random: number,
): ReturnType<typeof stepRetry> {
  if (state.phase !== 'connecting' && state.phase !== 'up') return { state, effects: [] };
  const wasStable = state.phase === 'up' && nowMs - state.upSinceMs >= STABLE_MS;
  const failures = wasStable ? 1 : state.failures + 1;
  const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 30));
  const retryAtMs = nowMs + pauseMs * (0.75 + 0.5 * random);
  return {
    state: { ...state, phase: 'resting', failures, retryAtMs, trouble },
    effects: [{ type: 'wake-at', atMs: retryAtMs }],
  };
}
