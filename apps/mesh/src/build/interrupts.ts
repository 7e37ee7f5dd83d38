import { constants } from 'node:os';
import { REPEATED_SIGNAL_MS } from '../constants.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
type Interrupt = (typeof SIGNALS)[number];

/** What the process tells about being interrupted; `process` is one. */
export interface SignalSource {
  on(signal: Interrupt, listener: (signal: Interrupt) => void): unknown;
  off(signal: Interrupt, listener: (signal: Interrupt) => void): unknown;
}

/**
 * The first Ctrl-C (or SIGTERM, SIGHUP) asks to stop, the second leaves at once. `exitCode()` is 128 + the signal's number
 * once there was one. `nowMs` is any steady clock.
 */
export function watchInterrupts(
  source: SignalSource,
  leaveAtOnce: (exitCode: number) => void,
  nowMs: () => number = () => performance.now(),
): { signal: AbortSignal; exitCode(): number | undefined; stop(): void } {
  const controller = new AbortController();
  let exitCode: number | undefined;
  let firstMs = 0;
  const listener = (signal: Interrupt) => {
    const code = 128 + constants.signals[signal];
    if (exitCode !== undefined) {
      if (nowMs() - firstMs > REPEATED_SIGNAL_MS) leaveAtOnce(code);
      return;
    }
    exitCode = code;
    firstMs = nowMs();
    controller.abort();
  };
  for (const signal of SIGNALS) source.on(signal, listener);
  return {
    signal: controller.signal,
    exitCode: () => exitCode,
    stop() {
      for (const signal of SIGNALS) source.off(signal, listener);
    },
  };
}
