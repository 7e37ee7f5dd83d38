import { mkdir } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Logger } from '@mesh/net';
import {
  ADMIN_METHODS,
  ADMIN_SOCKET,
  type BuildInput,
  buildInputSchema,
  CONTROL_VERSION,
  type ControlRequest,
  type ControlResponse,
  controlRequestSchema,
  USER_SOCKET,
} from '@mesh/wire';
import * as v from 'valibot';
import { AgentError, describeError } from '../errors.ts';
import { type ListeningSocket, listenOnSocket } from '../listen-on-socket.ts';
import type { ControlHandler } from './control-handler.ts';
import { readLines, writeLine } from './line-socket.ts';

/**
 * The local API on two Unix sockets. Node cannot ask a Unix peer for its credentials, so the files' permissions tell callers apart:
 * everybody may open `agent.sock` (whoever may build with Nix may build with the mesh), only the agent's own user `admin.sock`.
 */
export class ControlServer {
  readonly #dir: string;
  readonly #handler: Pick<ControlHandler, 'handle'>;
  readonly #logger: Logger;
  readonly #sockets: ListeningSocket[] = [];

  constructor(dir: string, handler: Pick<ControlHandler, 'handle'>, logger: Logger) {
    this.#dir = dir;
    this.#handler = handler;
    this.#logger = logger;
  }

  /** @throws AgentError AGENT_ALREADY_RUNNING, AGENT_SOCKET */
  async start(): Promise<void> {
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o755 });
      await this.#listen(ADMIN_SOCKET, 0o600, true);
      await this.#listen(USER_SOCKET, 0o666, false);
    } catch (cause) {
      if (cause instanceof AgentError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AgentError(
        'AGENT_SOCKET',
        `The agent cannot open its sockets in ${this.#dir} (${reason}); give it another --state-dir or MESH_SOCKET_DIR.`,
        { cause },
      );
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }

  async #listen(name: string, mode: number, admin: boolean): Promise<void> {
    const serve = (client: Socket): void => void this.#serve(client, admin);
    this.#sockets.push(await listenOnSocket(join(this.#dir, name), { mode }, serve));
  }

  async #serve(socket: Socket, admin: boolean): Promise<void> {
    const gone = new AbortController();
    socket.on('close', () => gone.abort());
    const emit = (response: ControlResponse): Promise<void> => writeLine(socket, response);
    try {
      const lines = readLines(socket);
      const first = await lines.next();
      if (first.done) return;
      const request = parseRequest(first.value);
      if (ADMIN_METHODS.includes(request.method) && !admin) {
        throw new AgentError(
          'AGENT_NOT_PERMITTED',
          `Only the user that runs the agent may ask for ${request.method}; run the command as that user (root: sudo).`,
        );
      }
      const inputs = request.method === 'build' ? parseInputs(lines) : noInputs(lines);
      const value = await this.#handler.handle(request, { inputs, signal: gone.signal, emit });
      await emit({ type: 'result', value });
    } catch (error) {
      if (!gone.signal.aborted) {
        const { code, message, exitCode } = describeError(error);
        if (code === 'MESH_INTERNAL') this.#logger.error({ err: error }, 'a request failed unexpectedly');
        await emit({ type: 'error', code, message, exitCode });
      }
    }
    socket.end();
  }
}

/** @throws AgentError AGENT_BAD_REQUEST, AGENT_VERSION */
function parseRequest(value: unknown): ControlRequest {
  const version = v.safeParse(v.object({ version: v.number() }), value);
  if (version.success && version.output.version !== CONTROL_VERSION) {
    throw new AgentError(
      'AGENT_VERSION',
      `The command speaks version ${version.output.version} of the local API, the running agent ${CONTROL_VERSION}; restart the agent after an upgrade.`,
    );
  }
  const parsed = v.safeParse(controlRequestSchema, value);
  if (parsed.success) return parsed.output;
  throw new AgentError(
    'AGENT_BAD_REQUEST',
    `The agent does not understand this request (${parsed.issues[0].message}); use the mesh command of its own version.`,
  );
}

/** Derivations until `evaluated`; a client that leaves in the middle is seen by its socket's close, which cancels the job. */
async function* parseInputs(lines: AsyncGenerator<unknown>): AsyncGenerator<BuildInput> {
  for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
    const parsed = v.safeParse(buildInputSchema, line.value);
    if (!parsed.success) {
      throw new AgentError(
        'AGENT_BAD_REQUEST',
        'The agent does not understand what is to be built; use the mesh command of its own version.',
      );
    }
    yield parsed.output;
    if (parsed.output.type === 'evaluated') break;
  }
  drainInBackground(lines);
}

/** Nothing is due after any other request. A socket that nobody reads would never tell that its other end is gone. */
function noInputs(lines: AsyncGenerator<unknown>): AsyncIterable<BuildInput> {
  drainInBackground(lines);
  return { [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }) };
}

function drainInBackground(lines: AsyncGenerator<unknown>): void {
  const read = async (): Promise<void> => {
    for await (const _ of lines);
  };
  // A broken connection has been seen by 'close'.
  read().catch(() => undefined);
}
