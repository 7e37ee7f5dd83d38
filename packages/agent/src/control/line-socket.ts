import type { Socket } from 'node:net';
import { MAX_CONTROL_LINE_BYTES } from '@mesh/wire';
import { AgentError } from '../errors.ts';

/**
 * The lines a client sends, each parsed as JSON.
 * @throws AgentError AGENT_BAD_REQUEST for a line that is too long or no JSON
 */
export async function* readLines(socket: Socket): AsyncGenerator<unknown> {
  let rest = '';
  socket.setEncoding('utf8');
  // The answer to a bad line still has to go out on this socket.
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<string>) {
    rest += chunk;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      if (line.trim() !== '') yield parseLine(line);
    }
    if (rest.length > MAX_CONTROL_LINE_BYTES) {
      throw new AgentError('AGENT_BAD_REQUEST', 'A request to the agent was too long; send less at once.');
    }
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new AgentError('AGENT_BAD_REQUEST', 'A request to the agent was not JSON; use the mesh command.', {
      cause,
    });
  }
}

/** Writes one line; resolves when there is room for another, at once where the reader is gone. */
export async function writeLine(socket: Socket, value: unknown): Promise<void> {
  if (socket.destroyed || socket.writableEnded) return;
  if (socket.write(`${JSON.stringify(value)}\n`)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.once('drain', done);
    socket.once('close', done);
  });
}
