import { expect } from 'vitest';
import type { SimulatedMesh } from './simulated-mesh.ts';

/** Small fast generator (Steele, Lea and Flood 2014, splitmix-like): a test's whole course follows from its seed. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Runs until nothing is under way, which must come; then nobody may hold on to anything. */
export function runToEnd(mesh: SimulatedMesh): void {
  for (let i = 0; mesh.busy || i < 1; i++) {
    if (i > 200) throw new Error('the jobs do not end');
    mesh.run(500);
  }
  mesh.run(20_000);
  for (const agent of mesh.agents) {
    if (!agent.alive) continue;
    expect(agent.running.size, 'builds running').toBe(0);
    expect(agent.home.leases.size, 'leases at home').toBe(0);
    expect(agent.worker.leases.size, 'leases at the worker').toBe(0);
    expect(agent.home.graph.size, 'derivations kept').toBe(0);
    expect(agent.home.classes.size, 'classes kept').toBe(0);
    expect(agent.home.ready, 'ready count').toBe(0);
    for (const claims of agent.home.foreign.values()) expect(claims.live.size, 'claims kept').toBe(0);
    for (const worker of agent.home.workers.values())
      expect(worker.free.length + worker.ahead.length, 'requests parked').toBe(0);
  }
}
