import { type BuildResult, NixError } from '@mesh/nix';
import type { LeaseOutcome } from '@mesh/wire';

/** What else is known of memory when a build has failed. */
export interface MemoryWitness {
  /** The kernel killed processes for want of memory while it ran. */
  killed: boolean;
  /** Memory was short when it ended. */
  short: boolean;
}

/** The build itself said no: the same everywhere, so final. */
const FINAL: ReadonlySet<BuildResult['status']> = new Set([
  'permanent-failure',
  'output-rejected',
  'timed-out',
  'log-limit-exceeded',
  'not-deterministic',
]);
/** Failures that Nix calls permanent but that tell of the machine: killed by the kernel, or no room left. */
const MACHINE_SIGNS = [
  /failed due to signal 9 \(Killed\)/,
  /No space left on device/,
  /Cannot allocate memory/,
  /lack of free disk space/,
];
/** Said by whoever could not get memory, whatever else is known. */
const OUT_OF_MEMORY = /Cannot allocate memory/;
/** Said of a builder or one of its children that was killed, or by programs that gave up: memory, if the machine was short of it. */
const MAYBE_OUT_OF_MEMORY =
  /signal 9 \(Killed\)|Killed signal terminated program|\bKilled\b|std::bad_alloc|out of memory/i;

/** What a build that did not succeed means: an answer, or a machine that could not. */
export function failureOutcome(
  result: Pick<BuildResult, 'status' | 'errorMsg'>,
  memory: MemoryWitness,
): LeaseOutcome {
  const message = result.errorMsg.slice(0, 4_000);
  const wasShort = memory.killed || memory.short;
  const outOfMemory = OUT_OF_MEMORY.test(message) || (wasShort && MAYBE_OUT_OF_MEMORY.test(message));
  if (FINAL.has(result.status) && !outOfMemory && !MACHINE_SIGNS.some((sign) => sign.test(message))) {
    return { type: 'failed', message };
  }
  return {
    type: 'machine-failure',
    message: `${outOfMemory ? 'out of memory' : result.status}: ${gist(message)}`,
    ...(outOfMemory ? { outOfMemory } : {}),
  };
}

/** Of a daemon's many lines the one that says why, and the one that blames the machine: they go into a sentence. */
function gist(message: string): string {
  const lines = message
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const why = lines.find((line) => line.startsWith('Reason: ')) ?? lines[0] ?? '';
  const sign = lines.find((line) => MACHINE_SIGNS.some((pattern) => pattern.test(line)));
  const plain = (line: string): string => line.replace(/^(Reason: |> |note: )/, '').replace(/[.;:]$/, '');
  return sign === undefined || sign === why ? plain(why) : `${plain(why)} (${plain(sign)})`;
}

/** What an exception during fetching or building means for the lease: this machine could not, another may. */
export function machineFailure(error: unknown): LeaseOutcome {
  const message = error instanceof NixError || error instanceof Error ? error.message : String(error);
  return { type: 'machine-failure', message: message.slice(0, 4_000) };
}
