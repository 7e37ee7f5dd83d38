import type { ControlResult } from '@mesh/wire';
import { storePathArgument } from '../cache/store-path-argument.ts';
import { ask } from '../control/port.ts';
import { CliError, EXIT, usageError } from '../errors.ts';
import { formatTable } from '../render/table.ts';
import { formatBytes, safeLine } from '../render/text.ts';
import { type CommonFlags, printJson, printOut, runningAgent } from './io.ts';

type JsonFlags = CommonFlags & { json?: boolean };

/** `mesh cache status`: the binary cache of this machine, and what came and went. */
export async function cacheStatus(flags: JsonFlags): Promise<void> {
  const value = await ask(runningAgent(flags), { method: 'cache-status' });
  if (flags.json) printJson(value);
  else printOut(cacheStatusText(value));
}

export function cacheStatusText(value: ControlResult<'cache-status'>): string {
  const { configured, narinfos, given, fetched, served, kept } = value;
  const rows: [string, string][] = [
    ['cache', value.url ?? `off: ${value.off ?? 'not started'}`],
    ['key', value.publicKey],
    ['used by Nix', usedByNix(configured)],
    [
      'asked for',
      `${narinfos.known + narinfos.found} paths there (${narinfos.known} from memory), ${narinfos.absent} not there`,
    ],
    ['given to Nix', `${given.nars} paths, ${formatBytes(given.bytes)}`],
    ['fetched', `${fetched.paths} paths, ${formatBytes(fetched.bytes)}`],
    ['given to others', formatBytes(served.bytes)],
    [
      'kept for others',
      `${kept.paths} results, ${formatBytes(kept.bytes)} of at most ${formatBytes(kept.maxBytes)}`,
    ],
    ...(value.badPeers === 0
      ? []
      : [['bad answers', `${value.badPeers} of other machines; see the agent's log`] as [string, string]]),
  ];
  return rows.map(([title, text]) => `${title.padEnd(17)}${safeLine(text, false)}`).join('\n');
}

function usedByNix({ substituter, trusted }: { substituter: boolean; trusted: boolean }): string {
  if (substituter && trusted) return 'yes';
  if (substituter) return 'only for what upstream signed: its key is not in nix.conf (`mesh cache trust`)';
  return 'no: it is not in nix.conf (`mesh cache trust`)';
}

/** `mesh cache which PATH`: who holds a store path. */
export async function cacheWhich(argument: string, flags: JsonFlags): Promise<void> {
  const path = await storePathArgument(argument);
  if (path === undefined) {
    throw usageError(`${argument} is neither a store path nor a link to one.`);
  }
  const value = await ask(runningAgent(flags), { method: 'cache-which', path });
  if (flags.json) printJson(value);
  else printOut(cacheWhichText(value));
  if (!value.here && value.members.length === 0 && value.upstream !== true) {
    throw new CliError('CACHE_MISSING', EXIT.failure, 'nobody has it', { silent: true });
  }
}

export function cacheWhichText({
  path,
  narSize,
  here,
  members,
  upstream,
}: ControlResult<'cache-which'>): string {
  const rows = [
    ...(here ? [['this machine', '-']] : []),
    ...members.map(({ name, bytesPerS }) => [
      safeLine(name, false),
      `${formatBytes(Math.round(bytesPerS))}/s`,
    ]),
    ...(upstream === true ? [['a substituter of this machine', '-']] : []),
  ];
  const size = narSize === null ? '' : ` (${formatBytes(narSize)})`;
  if (rows.length === 0) return `${path}: nobody has it at the moment`;
  return [
    `${path}${size}`,
    ...formatTable([{ title: 'HELD BY' }, { title: 'RATE', align: 'right' }], rows),
  ].join('\n');
}

/** `mesh cache trust`: what to put into nix.conf so that plain Nix takes from the mesh. */
export async function cacheTrust(flags: CommonFlags & { nixos?: boolean }): Promise<void> {
  const value = await ask(runningAgent(flags), { method: 'cache-status' });
  printOut(cacheTrustText(value, flags.nixos ?? false));
}

/** @throws CliError where there is no cache to trust */
export function cacheTrustText(
  { url, off, publicKey }: ControlResult<'cache-status'>,
  nixos: boolean,
): string {
  if (url === null)
    throw usageError(`The binary cache of this machine is off: ${off ?? 'it did not start'}.`);
  if (nixos) {
    return `nix.settings.extra-substituters = [ "${url}" ];\nnix.settings.extra-trusted-public-keys = [ "${publicKey}" ];`;
  }
  return `extra-substituters = ${url}\nextra-trusted-public-keys = ${publicKey}`;
}
