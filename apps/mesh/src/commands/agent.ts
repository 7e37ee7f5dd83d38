import { resolvePaths } from '@mesh/agent/paths';
import { watchInterrupts } from '../build/interrupts.ts';
import { usageError } from '../errors.ts';
import { type CommonFlags, ownUid, printNote } from './io.ts';

/** The options of `mesh agent` as commander hands them over. */
export interface AgentFlags extends CommonFlags {
  name?: string;
  listen?: string;
  peer: string[];
  mdns: boolean;
  slots?: string;
  limitRate?: string;
}

/** A whole number in a range, or a usage error that names the option. */
export function parseNumber(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw usageError(`${option} ${text}: give a whole number from ${min} to ${max}.`);
}

/** Bytes a second, or a usage error. */
export function parseRate(text: string): string {
  if (/^[0-9]{1,15}(\.[0-9]{1,3})?[KMGT]?$/.test(text)) return text;
  throw usageError(`--limit-rate ${text}: give bytes a second, such as 10M or 500K.`);
}

/** Slots beyond any machine's cores are a slip of the finger. */
const MAX_SLOTS = 4096;

/** `mesh agent`: runs until it is told to stop; the second signal does not wait for a clean end. */
export async function agent(flags: AgentFlags): Promise<void> {
  const init = {
    ...resolvePaths({ uid: ownUid(), env: process.env, stateDir: flags.stateDir }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.listen === undefined ? {} : { listenPort: parseNumber('--listen', flags.listen, 0, 65_535) }),
    ...(flags.slots === undefined ? {} : { slots: parseNumber('--slots', flags.slots, 0, MAX_SLOTS) }),
    ...(flags.limitRate === undefined ? {} : { upload: { limitRate: parseRate(flags.limitRate) } }),
    peers: flags.peer,
    // Without the option the configuration file decides.
    ...(flags.mdns ? {} : { mdns: false }),
    serveControl: true,
    serveCache: true,
    serveNix: true,
  };
  const interrupts = watchInterrupts(process, (exitCode) => process.exit(exitCode));
  const { createAgent } = await import('@mesh/agent');
  const running = await createAgent(init);
  try {
    await running.start();
    await new Promise<void>((resolve) => {
      if (interrupts.signal.aborted) resolve();
      else interrupts.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    printNote('mesh: stopping');
  } finally {
    await running.stop();
    interrupts.stop();
  }
}
