import type { FetchProgress as ToldProgress } from '@mesh/wire';

/** How far a fetch is, as it tells itself (`FetchProgress` of the transfer package): sources are peer ids, or `upstream`. */
export interface FetchProgress {
  readonly pathsDone: number;
  readonly pathsTotal: number;
  readonly bytesDone: number;
  readonly bytesTotal: number;
  readonly bytesPerS: number;
  readonly sources: readonly { readonly peer: string; readonly bytes: number }[];
}

/** The same for users: machines by their names. */
export function toldProgress(progress: FetchProgress, nameOf: (peerId: string) => string): ToldProgress {
  const sources: Record<string, number> = {};
  for (const { peer, bytes } of progress.sources) {
    const name = nameOf(peer);
    sources[name] = (sources[name] ?? 0) + bytes;
  }
  const { pathsDone, pathsTotal, bytesDone, bytesTotal } = progress;
  return { pathsDone, pathsTotal, bytesDone, bytesTotal, bytesPerS: Math.round(progress.bytesPerS), sources };
}
