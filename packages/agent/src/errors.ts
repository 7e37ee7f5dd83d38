/** Everything an agent can say no to that a person will read. */
export type AgentErrorCode =
  | 'AGENT_ALREADY_RUNNING'
  | 'AGENT_BAD_CONFIG'
  | 'AGENT_BAD_REQUEST'
  | 'AGENT_BAD_STATE'
  | 'AGENT_NOT_PERMITTED'
  | 'AGENT_SOCKET'
  | 'AGENT_STOPPING'
  | 'AGENT_VERSION'
  | 'BUILD_BAD_SELECTOR'
  | 'BUILD_CANCELLED'
  | 'BUILD_CHOICE_IMPOSSIBLE'
  | 'BUILD_FAILED'
  | 'BUILD_NOTHING_WANTED'
  | 'BUILD_NOT_PERMITTED'
  | 'BUILD_RESULT_LOST'
  | 'BUILD_UNKNOWN_MACHINE'
  | 'BUILD_UNREADABLE_DERIVATION'
  | 'CACHE_NOT_A_STORE_PATH'
  | 'JOB_UNKNOWN'
  | 'LOG_UNKNOWN'
  | 'WHY_UNKNOWN'
  | 'PEER_AMBIGUOUS'
  | 'PEER_UNKNOWN'
  | 'WORK_CANCELLED'
  | 'WORK_MACHINE_FAILURE'
  | 'WORK_NO_ROOM';

/** One sentence that says what happened and what to do, a stable `code`, and the exit code of the command that shows it. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: AgentErrorCode;
  readonly exitCode: number;

  constructor(code: AgentErrorCode, message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.exitCode = options.exitCode ?? 1;
  }
}

/** What crosses the local API of any error: typed ones keep their code, anything else is a fault of the mesh itself. */
export function describeError(error: unknown): { code: string; message: string; exitCode: number } {
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : 'MESH_INTERNAL';
    const exitCode = 'exitCode' in error && typeof error.exitCode === 'number' ? error.exitCode : 1;
    return { code, message: error.message, exitCode };
  }
  return { code: 'MESH_INTERNAL', message: String(error), exitCode: 1 };
}
