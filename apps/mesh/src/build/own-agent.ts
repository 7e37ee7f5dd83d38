import { resolvePaths } from '@mesh/agent/paths';
import type { ControlPort } from '../control/port.ts';

export interface OwnAgentInit {
  uid: number;
  env: Record<string, string | undefined>;
  stateDir: string | undefined;
  /** Where the agent's warnings go; what else it logs is of no interest to one build. */
  warn(message: string): void;
}

/**
 * An agent inside this process, for one build on a machine where none runs. It uses the same state as `mesh agent` would, so it
 * is the same member of the same mesh; and it serves the sockets, so that another build that starts meanwhile finds it instead of
 * bringing a second agent of the same identity. `close` lets such builds finish.
 * @throws AgentError AGENT_ALREADY_RUNNING where another build was quicker
 */
export async function startOwnAgent(
  init: OwnAgentInit,
): Promise<{ port: ControlPort; close(): Promise<void> }> {
  const { createAgent } = await import('@mesh/agent');
  const warn = (first: unknown, message?: string) => init.warn(message ?? String(first));
  const { stateDir, socketDir } = resolvePaths(init);
  const agent = await createAgent({
    stateDir,
    socketDir,
    serveControl: true,
    // Any free port: this agent does the calling.
    listenPort: 0,
    transferPort: 0,
    logger: { debug: () => undefined, info: () => undefined, warn, error: warn },
  });
  try {
    await agent.start();
  } catch (error) {
    await agent.stop();
    throw error;
  }
  return {
    port: {
      handle: (request, context) =>
        agent.control.handle(request, { ...context, emit: async (response) => context.emit(response) }),
    },
    close: async () => {
      await agent.idle();
      await agent.stop();
    },
  };
}
