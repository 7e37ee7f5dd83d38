import { MAX_INVITE_TTL_MS } from '../constants.ts';
import { ask } from '../control/port.ts';
import { parseDurationMs } from '../durations.ts';
import { usageError } from '../errors.ts';
import { type CommonFlags, printNote, printOut, runningAgent } from './io.ts';

const ROLES = ['build', 'submit', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** `--ttl`: throws a usage error for what is no duration of at most 7 days. */
export function parseTtl(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined || ms > MAX_INVITE_TTL_MS) {
    throw usageError(`--ttl ${text}: give a time of at most 7 days, like 90s, 10m, 2h or 1d.`);
  }
  return ms;
}

/** `--roles build,submit`: throws a usage error for a role that does not exist. */
export function parseRoles(text: string): Role[] {
  const roles = text.split(',').map((role) => {
    const known = ROLES.find((name) => name === role.trim());
    if (known === undefined) throw usageError(`--roles ${text}: the roles are ${ROLES.join(', ')}.`);
    return known;
  });
  return [...new Set(roles)];
}

/** `mesh invite`: the ticket alone on stdout, so that it can go through a pipe into `mesh join`. */
export async function invite(flags: CommonFlags & { ttl: string; roles: string }): Promise<void> {
  const request = { ttlMs: parseTtl(flags.ttl), roles: parseRoles(flags.roles) };
  const { ticket, expiresAt } = await ask(runningAgent(flags), { method: 'invite', ...request });
  printOut(ticket);
  printNote(
    `One machine may join with this ticket until ${expiresAt}: run \`mesh join\` there and paste it.`,
  );
}
