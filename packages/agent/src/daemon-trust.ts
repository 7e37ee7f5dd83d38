import { DaemonClient } from '@mesh/nix';

/** Whether this agent's daemon lets it build input-addressed derivations and import what it has verified itself. */
export async function probeTrust(options: { socketPath?: string }): Promise<DaemonClient['trust']> {
  const client = await DaemonClient.connect(options);
  try {
    // Before 1.35 the daemon does not say; root is always trusted.
    if (client.trust === 'unknown') return process.getuid?.() === 0 ? 'trusted' : 'untrusted';
    return client.trust;
  } finally {
    client.close();
  }
}
