import type { BuildInput, ControlMethod, ControlRequest, ControlResponse, ControlResult } from '@mesh/wire';
// Not @mesh/wire itself: the codecs between agents would double the time the command takes to start.
import { CONTROL_VERSION, controlResultSchemas } from '@mesh/wire/control';
import * as v from 'valibot';
import { CliError, EXIT } from '../errors.ts';

/** What an agent needs beside the request itself. */
export interface RequestContext {
  /** The lines that follow a `build`; empty for every other method. */
  inputs: AsyncIterable<BuildInput>;
  /** Aborting cancels what was asked for. */
  signal: AbortSignal;
  /** Called for every `event` and `log` before the answer. */
  emit(response: ControlResponse): void;
}

/** An agent that can be asked: over its socket, or in this very process. */
export interface ControlPort {
  /** The `value` of the agent's answer, not yet validated. Throws what the agent refused with. */
  handle(request: ControlRequest, context: RequestContext): Promise<unknown>;
}

type RequestOf<M extends ControlMethod> = Omit<Extract<ControlRequest, { method: M }>, 'version'>;

const NEVER = new AbortController().signal;

async function* nothing(): AsyncIterable<BuildInput> {
  // Only a build is followed by lines.
}

/** Asks for one thing and validates the answer. Throws `MESH_VERSION_MISMATCH` for an answer of another shape. */
export async function ask<M extends ControlMethod>(
  port: ControlPort,
  request: RequestOf<M> & { method: M },
  context: Partial<RequestContext> = {},
): Promise<ControlResult<M>> {
  const value = await port.handle({ ...request, version: CONTROL_VERSION } as unknown as ControlRequest, {
    inputs: context.inputs ?? nothing(),
    signal: context.signal ?? NEVER,
    emit: context.emit ?? (() => undefined),
  });
  const parsed = v.safeParse(controlResultSchemas[request.method], value);
  if (!parsed.success) throw versionMismatch();
  return parsed.output as ControlResult<M>;
}

/** The agent's lines make no sense to this command. */
export function versionMismatch(cause?: unknown): CliError {
  return new CliError(
    'MESH_VERSION_MISMATCH',
    EXIT.failure,
    'The running mesh agent answers in a way this command does not know; restart the agent so that both are of one version.',
    { cause },
  );
}
