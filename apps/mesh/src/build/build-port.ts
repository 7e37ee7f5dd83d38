import type { BuildOptions, ControlResult } from '@mesh/wire';
import { ask, type ControlPort, type RequestContext } from '../control/port.ts';
import { CliError } from '../errors.ts';

export interface BuildPorts {
  /** The agent that runs on this machine, if one does. */
  running: ControlPort;
  /** Starts an agent inside this process; `close` stops it. */
  startOwn(): Promise<{ port: ControlPort; close(): Promise<void> }>;
  /** Called before an own agent is started. */
  onOwn(): void;
}

/** Builds with the running agent, or, where none runs, with one of the command's own for this build. */
export async function askForBuild(
  ports: BuildPorts,
  options: BuildOptions,
  context: RequestContext,
): Promise<ControlResult<'build'>> {
  try {
    return await ask(ports.running, { method: 'build', options }, context);
  } catch (error) {
    // Known before anything was sent: the inputs are untouched.
    if (!(error instanceof CliError && error.code === 'MESH_NO_AGENT')) throw error;
  }
  ports.onOwn();
  let own: Awaited<ReturnType<BuildPorts['startOwn']>>;
  try {
    own = await ports.startOwn();
  } catch (error) {
    const isOther = error instanceof Error && 'code' in error && error.code === 'AGENT_ALREADY_RUNNING';
    if (!isOther) throw error;
    // Another build brought an agent in the meantime.
    return ask(ports.running, { method: 'build', options }, context);
  }
  try {
    context.signal.throwIfAborted();
    return await ask(own.port, { method: 'build', options }, context);
  } finally {
    await own.close();
  }
}
