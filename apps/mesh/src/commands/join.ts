import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { MAX_TICKET_BYTES } from '../constants.ts';
import { ask } from '../control/port.ts';
import { CliError, EXIT, usageError } from '../errors.ts';
import { safeLine } from '../render/text.ts';
import { type CommonFlags, printNote, runningAgent } from './io.ts';

const TICKET_PREFIX = 'mesh1';
/** Shorter than any ticket (a key, a token, an address), longer than a likely file name. */
const MIN_TICKET_CHARS = 40;

/** Whether an argument is a ticket and not the name of a file: tickets have neither dots nor slashes. */
export function looksLikeTicket(argument: string): boolean {
  const text = argument.trim();
  return text.startsWith(TICKET_PREFIX) && text.length >= MIN_TICKET_CHARS && !/[./]/.test(text);
}

/** `mesh join [FILE]`: takes a ticket from a prompt, a pipe or a file, and this machine into the mesh of the inviter. */
export async function join(
  file: string | undefined,
  flags: CommonFlags & { force?: boolean },
): Promise<void> {
  if (file !== undefined && looksLikeTicket(file)) {
    throw usageError(
      'A ticket is a secret and arguments are visible to every user of this machine: run `mesh join` and paste it, or pipe it in.',
    );
  }
  const ticket = readTicket(await ticketText(file));
  const request = { method: 'join', ticket, force: flags.force ?? false } as const;
  const { meshId, inviter } = await ask(runningAgent(flags), request);
  printNote(`joined the mesh ${safeLine(meshId, false)}, invited by ${safeLine(inviter, false)}`);
}

/** The ticket in a text, without the space around it. Throws `MESH_BAD_TICKET`. */
export function readTicket(text: string): string {
  const ticket = text.trim();
  if (ticket.startsWith(TICKET_PREFIX) && !/\s/.test(ticket)) return ticket;
  const what = ticket === '' ? 'There is no ticket' : 'That is not a ticket';
  throw new CliError(
    'MESH_BAD_TICKET',
    EXIT.failure,
    `${what}; run \`mesh invite\` on a machine of the mesh and give its one line, which begins with ${TICKET_PREFIX}.`,
  );
}

async function ticketText(file: string | undefined): Promise<string> {
  if (file !== undefined && file !== '-') return await readFileLimited(file);
  if (file === undefined && process.stdin.isTTY) return await prompt();
  return await readLimited(process.stdin);
}

async function prompt(): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await terminal.question('Ticket (from `mesh invite`): ');
  } finally {
    terminal.close();
  }
}

async function readFileLimited(file: string): Promise<string> {
  await using handle = await open(file);
  return await readLimited(handle.createReadStream({ autoClose: false }));
}

async function readLimited(chunks: AsyncIterable<Buffer | string>): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    // Cut off: far too long for a ticket, which readTicket or the agent then says.
    if (length > MAX_TICKET_BYTES) break;
    parts.push(bytes);
  }
  return Buffer.concat(parts).toString('utf8');
}
