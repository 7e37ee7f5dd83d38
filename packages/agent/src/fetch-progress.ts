import type { FetchProgress } from '@mesh/transfer';
import type { FetchProgress as ToldProgress } from '@mesh/wire';

/** How far a fetch is, for users: machines by their names. */
export function toldProgress(progress: FetchProgress, nameOf: (peerId: string) => string): ToldProgress {
  const sources: Record<string, number> = {};
  for (const { peer, bytes } of progress.sources) {
    const name = nameOf(peer);
    sources[name] = (sources[name] ?? 0) + bytes;
  }
  const { pathsDone, pathsTotal, bytesDone, bytesTotal } = progress;
  return { pathsDone, pathsTotal, bytesDone, bytesTotal, bytesPerS: Math.round(progress.bytesPerS), sources };
}
