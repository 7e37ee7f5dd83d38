import { deflateRawSync } from 'node:zlib';

/** What a measurement saw. */
export interface SpeedSample {
  /** An undisturbed round of the fixed work. */
  roundMs: number;
  /** Of a processor, while it measured: less than 1 where others wanted it or a quota holds. */
  share: number;
}

export interface SampleClocks {
  /** Wall time, milliseconds. */
  now(): number;
  /** Processor time of this thread, milliseconds; kernels count it in ticks of up to 10 ms. */
  cpu(): number;
}

/** Fixed words and text, the same on every machine: a linear congruential sequence (Numerical Recipes' constants). */
function makeMaterial(): { words: string[]; text: string; bytes: Uint8Array } {
  let state = 1;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 8;
  };
  const words = Array.from(
    { length: 2_000 },
    () => `${SYLLABLES[next() % 8]}${SYLLABLES[next() % 8]}_${next() % 997}`,
  );
  const text = JSON.stringify(
    words.map((name, index) => ({ name, index, uses: [index % 7, index % 11], live: index % 3 === 0 })),
  );
  return { words, text, bytes: new TextEncoder().encode(text.slice(0, 48 * 1024)) };
}
const SYLLABLES = ['get', 'node', 'tree', 'emit', 'list', 'type', 'expr', 'decl'] as const;

/**
 * One round of work that tracks how fast a machine compiles: what compilers do is to look up and sort names, to build and walk trees,
 * and to run branchy integer code over bytes. Single thread, some milliseconds. Its answer keeps the work from being optimised away.
 */
function round({ words, text, bytes }: ReturnType<typeof makeMaterial>): number {
  // A symbol table.
  const table = new Map<string, number>();
  for (const word of words) table.set(word, (table.get(word) ?? 0) + word.length);
  const sorted = [...table.keys()].sort();
  // A tree, parsed, walked and printed.
  const tree = JSON.parse(text) as { name: string; uses: number[] }[];
  let sum = 0;
  for (const { name, uses } of tree) sum += (table.get(name) ?? 0) * (uses[0] ?? 0);
  sum += JSON.stringify(tree).length;
  // Integer code with unpredictable branches (FNV-1a over names).
  for (const name of sorted) {
    let hash = 0x811c9dc5;
    for (let at = 0; at < name.length; at += 1) {
      hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
      if ((hash & 3) === 0) sum += at;
    }
    sum ^= hash & 0xff;
  }
  return sum + deflateRawSync(bytes, { level: 6 }).length;
}

/** Enough for the code to be compiled, and to feel a processor quota, whose periods are 100 ms. */
const SAMPLE_CPU_MS = 200;
/** Of all rounds the fastest tenth ran compiled code with nobody in between; the very fastest is luck. */
const UNDISTURBED = 0.1;

/** Measures for some 200 ms of processor time. Blocks: belongs into a process of its own. */
export function sampleSpeed({ now, cpu }: SampleClocks): SpeedSample {
  const material = makeMaterial();
  const startMs = now();
  const startCpuMs = cpu();
  const rounds: number[] = [];
  let endMs = startMs;
  do {
    round(material);
    const before = endMs;
    endMs = now();
    rounds.push(endMs - before);
  } while (cpu() - startCpuMs < SAMPLE_CPU_MS);
  rounds.sort((a, b) => a - b);
  const roundMs = rounds[Math.floor(UNDISTURBED * rounds.length)] ?? endMs - startMs;
  return { roundMs, share: Math.min(1, (cpu() - startCpuMs) / (endMs - startMs)) };
}
