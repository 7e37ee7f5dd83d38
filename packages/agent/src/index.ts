/** Puts the parts together: jobs, workers, the local API, the life cycle of an agent. */
export { type Agent, createAgent } from './agent.ts';
export type { AgentInit } from './agent-init.ts';
export type { ControlContext, ControlHandler } from './control/control-handler.ts';
export { AgentError, type AgentErrorCode } from './errors.ts';
export { resolvePaths } from './paths.ts';
export { AGENT_VERSION } from './version.ts';
