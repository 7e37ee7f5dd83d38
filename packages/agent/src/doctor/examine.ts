import { agentChecks } from './agent-checks.ts';
import { builderChecks } from './builder-checks.ts';
import type { DoctorFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { machineChecks } from './machine-checks.ts';
import { networkChecks } from './network-checks.ts';
import { nixChecks } from './nix-checks.ts';

/** All checks, from the ground up: what stands later often fails for what stands before. */
export function examine(facts: DoctorFacts): Finding[] {
  return [
    ...nixChecks(facts),
    ...agentChecks(facts),
    ...networkChecks(facts),
    ...builderChecks(facts),
    ...machineChecks(facts),
  ];
}
