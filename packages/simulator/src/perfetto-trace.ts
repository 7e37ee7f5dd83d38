import type { Mesh } from './machine.ts';
import type { Span } from './recorder.ts';
import type { Workload } from './workload.ts';

/** One event of the Trace Event Format, which Chrome's tracing and Perfetto read. Times are microseconds. */
type TraceEvent = Readonly<Record<string, unknown>>;

const US_PER_MS = 1_000;

/** A run as a trace: a process for each machine, a thread for each of its slots, a slice for each build with why it was there. */
export function perfettoTrace(
  spans: readonly Span[],
  mesh: Mesh,
  workload: Workload,
): { readonly traceEvents: readonly TraceEvent[]; readonly displayTimeUnit: 'ms' } {
  const traceEvents: TraceEvent[] = [];
  for (const [pid, machine] of mesh.machines.entries()) {
    const { name, speed, cores, slots } = machine;
    const title = `${name} (speed ${speed}, ${cores} cores, ${slots} slots)`;
    traceEvents.push({ ph: 'M', name: 'process_name', pid, args: { name: title } });
    traceEvents.push({ ph: 'M', name: 'process_sort_index', pid, args: { sort_index: pid } });
  }
  const freeAt = mesh.machines.map((): number[] => []);
  for (const span of [...spans].sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs)) {
    const task = workload.tasks[span.task]!;
    const { race, attempt, cores, outcome, why } = span;
    traceEvents.push({
      ph: 'X',
      name: race ? `${task.name} (race)` : task.name,
      cat: outcome,
      pid: span.machine,
      tid: slotFor(freeAt[span.machine]!, span),
      ts: span.startMs * US_PER_MS,
      dur: (span.endMs - span.startMs) * US_PER_MS,
      args: { why, outcome, attempt, cores, predictedMs: task.node.predictedMs, drvPath: task.drvPath },
    });
  }
  return { traceEvents, displayTimeUnit: 'ms' };
}

/** The first slot that is free when the span begins. */
function slotFor(freeAt: number[], { startMs, endMs }: Span): number {
  const free = freeAt.findIndex((at) => at <= startMs);
  const slot = free < 0 ? freeAt.length : free;
  freeAt[slot] = endMs;
  return slot;
}
