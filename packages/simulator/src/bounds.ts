import type { Mesh } from './machine.ts';
import type { Workload } from './workload.ts';

export function boundOf(workload: Workload, mesh: Mesh): number {
  const fastest = Math.max(...mesh.machines.map((m) => m.speed));
  const capacity = mesh.machines.reduce((sum, m) => sum + m.slots * m.speed, 0);
  const end = new Float64Array(workload.tasks.length);
  let area = 0;
  let path = 0;
  for (const task of workload.tasks) {
    let start = 0;
    for (const d of task.dependencies) start = Math.max(start, end[d]!);
    end[task.index] = start + task.workMs / fastest;
    path = Math.max(path, end[task.index]!);
    area += task.workMs;
  }
  return Math.max(path, area / capacity);
}
