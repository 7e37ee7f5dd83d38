/** Version of the agent and the command, as `mesh --version` and `mesh peers` show it. */
export const AGENT_VERSION = '0.1.0';
