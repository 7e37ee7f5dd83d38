import { type BoundMachine, lowerBoundMs, type MeasuredDerivation } from '@mesh/schedule';
import type { Mesh } from './machine.ts';
import type { Workload } from './workload.ts';

/** No schedule of all jobs together can be shorter, overheads and transfers left out. */
export function boundOf(workload: Workload, mesh: Mesh): number {
  const nodes = workload.tasks.map(({ drvPath, workMs, parallel, system, requiredFeatures, node }) => {
    const { dependencies } = node;
    return { drvPath, durationMs: workMs, dependencies, parallel, system, requiredFeatures };
  }) satisfies MeasuredDerivation[];
  return lowerBoundMs(nodes, mesh.machines satisfies readonly BoundMachine[]);
}
