import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ControlMethod, ControlRequest } from '@mesh/wire';
import {
  ADMIN_METHODS,
  ADMIN_SOCKET,
  controlResponseSchema,
  MAX_CONTROL_LINE_BYTES,
  USER_SOCKET,
} from '@mesh/wire/control';
import * as v from 'valibot';
import { CliError, EXIT } from '../errors.ts';
import { readLines } from './line-reader.ts';
import { type ControlPort, type RequestContext, versionMismatch } from './port.ts';

/** Connections found dead before a byte was sent: the next directory may have a living agent. */
const ABSENT = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTDIR']);
const FORBIDDEN = new Set(['EACCES', 'EPERM']);

/**
 * Asks an agent over its Unix socket, one connection a request (see `ControlRequest` in @mesh/wire for the lines). The first
 * directory with a living agent is asked. Errors: `MESH_NO_AGENT`, `MESH_NOT_PERMITTED`, `MESH_AGENT_GONE`,
 * `MESH_VERSION_MISMATCH`, and whatever the agent itself refuses with (its own code, message and exit code).
 */
export function createSocketPort(socketDirs: readonly string[]): ControlPort {
  return {
    async handle(request, context) {
      const socket = await connectFirst(socketDirs, request.method);
      return await converse(socket, request, context);
    },
  };
}

async function connectFirst(socketDirs: readonly string[], method: ControlMethod): Promise<Socket> {
  const file = ADMIN_METHODS.includes(method) ? ADMIN_SOCKET : USER_SOCKET;
  let forbidden: string | undefined;
  for (const dir of socketDirs) {
    const path = join(dir, file);
    try {
      return await connect(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (FORBIDDEN.has(code)) forbidden ??= path;
      else if (!ABSENT.has(code)) throw error;
    }
  }
  if (forbidden !== undefined) throw notPermitted(method, forbidden);
  throw new CliError(
    'MESH_NO_AGENT',
    EXIT.failure,
    'No mesh agent is running on this machine; start one with `mesh agent`.',
  );
}

function notPermitted(method: ControlMethod, path: string): CliError {
  const why = ADMIN_METHODS.includes(method)
    ? `Only the user who runs the mesh agent may run \`mesh ${method}\`; run it as that user (sudo mesh ${method}).`
    : `You may not use the mesh agent of this machine; ask its owner for access to ${path}.`;
  return new CliError('MESH_NOT_PERMITTED', EXIT.failure, why);
}

function connect(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

async function converse(socket: Socket, request: ControlRequest, context: RequestContext): Promise<unknown> {
  // Half-closed: the agent's own close tells that it has noticed.
  const cancel = () => socket.end();
  context.signal.addEventListener('abort', cancel, { once: true });
  // Errors also end the iteration below; this listener keeps one that comes later from ending the process.
  socket.on('error', () => undefined);
  const sending = send(socket, request, context);
  sending.catch(() => socket.destroy());
  try {
    if (context.signal.aborted) cancel();
    const answer = await receive(socket, context);
    if (answer !== undefined) return answer.value;
  } catch (error) {
    if (error instanceof RangeError) throw versionMismatch(error);
    if (!isConnectionError(error)) throw error;
  } finally {
    context.signal.removeEventListener('abort', cancel);
    socket.destroy();
  }
  context.signal.throwIfAborted();
  // The inputs' own failure (an evaluation error) says more than the connection that it ended.
  await sending;
  throw new CliError(
    'MESH_AGENT_GONE',
    EXIT.failure,
    'The mesh agent stopped before it answered; look at its log, then run the command again.',
  );
}

async function send(socket: Socket, request: ControlRequest, context: RequestContext): Promise<void> {
  await writeLine(socket, request);
  if (request.method !== 'build') return;
  for await (const input of context.inputs) {
    if (!socket.writable) return;
    await writeLine(socket, input);
  }
}

/** Waits for the agent where it reads slower than evaluation writes. */
async function writeLine(socket: Socket, value: unknown): Promise<void> {
  if (!socket.writable || socket.write(`${JSON.stringify(value)}\n`)) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.once('drain', done);
    socket.once('close', done);
  });
}

async function receive(socket: Socket, context: RequestContext): Promise<{ value: unknown } | undefined> {
  for await (const line of readLines(socket, MAX_CONTROL_LINE_BYTES)) {
    const response = parseResponse(line);
    switch (response.type) {
      case 'result':
        return { value: response.value };
      case 'error':
        throw new CliError(response.code, response.exitCode, response.message);
      default:
        context.emit(response);
    }
  }
  return undefined;
}

function parseResponse(line: string): v.InferOutput<typeof controlResponseSchema> {
  try {
    return v.parse(controlResponseSchema, JSON.parse(line));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof v.ValiError) throw versionMismatch(error);
    throw error;
  }
}

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && !(error instanceof CliError);
}
