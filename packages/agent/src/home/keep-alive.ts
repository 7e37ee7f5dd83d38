import type { Clock } from '@mesh/net';

/** A lease that waits for something at home is kept alive this often; leases last several times as long. */
const KEEP_ALIVE_MS = 1_000;

/** Does something while a lease waits for it, which `keepAlive` prolongs. */
export async function keptAlive<T>(clock: Clock, keepAlive: () => void, work: () => Promise<T>): Promise<T> {
  let timer = clock.after(KEEP_ALIVE_MS, function again() {
    keepAlive();
    timer = clock.after(KEEP_ALIVE_MS, again);
  });
  try {
    return await work();
  } finally {
    timer.cancel();
  }
}
