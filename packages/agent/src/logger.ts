import type { Logger } from '@mesh/net';
import { pino } from 'pino';

/** The agent's own log: JSON lines on stderr, so that a service manager keeps it and stdout stays free for programs. */
export function stderrLogger(level: 'debug' | 'info' | 'warn' | 'error' = 'info'): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: true }),
  );
}
