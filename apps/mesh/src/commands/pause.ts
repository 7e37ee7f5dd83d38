import { ask } from '../control/port.ts';
import { parseDurationMs } from '../durations.ts';
import { usageError } from '../errors.ts';
import { safeLine } from '../render/text.ts';
import { type CommonFlags, printNote, runningAgent } from './io.ts';

const MAX_PAUSE_MS = 366 * 24 * 3_600_000;
const MAX_REASON_CHARS = 100;

export interface PauseFlags extends CommonFlags {
  for?: string;
  reason?: string;
}

/** What the flags ask for. @throws CliError for a time that is none, or a reason too long */
export function pauseRequest(flags: PauseFlags): { forMs?: number; reason?: string } {
  const forMs = flags.for === undefined ? undefined : parseDurationMs(flags.for);
  if (flags.for !== undefined && (forMs === undefined || forMs > MAX_PAUSE_MS)) {
    throw usageError(`--for ${flags.for}: give a time of at most a year, like 30m, 8h or 2d.`);
  }
  if (flags.reason !== undefined && flags.reason.length > MAX_REASON_CHARS) {
    throw usageError(`--reason: give at most ${MAX_REASON_CHARS} characters.`);
  }
  return {
    ...(forMs === undefined ? {} : { forMs }),
    ...(flags.reason === undefined ? {} : { reason: flags.reason }),
  };
}

/** `mesh pause`: this machine takes no work of others until `mesh resume`; what runs is finished, own jobs go on. */
export async function pause(flags: PauseFlags): Promise<void> {
  const { until } = await ask(runningAgent(flags), { method: 'pause', ...pauseRequest(flags) });
  const end = until === null ? 'until `mesh resume`' : `until ${until}, or \`mesh resume\``;
  printNote(`paused ${end}: builds of others that run here are finished, no new ones begin`);
}

/** `mesh resume`: others may use this machine again. */
export async function resume(flags: CommonFlags): Promise<void> {
  const { wasPaused, closed } = await ask(runningAgent(flags), { method: 'resume' });
  const before = wasPaused ? 'resumed' : 'was not paused';
  printNote(
    closed === undefined
      ? `${before}: builds of others may run here`
      : `${before}, but takes no builds of others now: ${safeLine(closed, false)}`,
  );
}
