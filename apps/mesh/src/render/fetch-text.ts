import type { FetchProgress } from '@mesh/wire';
import { formatDuration } from '../durations.ts';
import { formatBytes, plural, safeLine } from './text.ts';

/** Sources named; a large closure comes from everybody. */
const MAX_NAMES = 3;
/** The rate of a fetch that said nothing for so long is not its rate any more. */
const SILENT_MS = 5_000;

/** How far a fetch is: `3 of 12 paths, 12.3 MB of 41.9 MB, 35.0 MB/s from h1, upstream`. Pure. @param silentMs Time since it said so. */
export function fetchText(progress: FetchProgress, silentMs = 0): string {
  const { pathsDone, pathsTotal, bytesDone, bytesTotal, bytesPerS } = progress;
  const paths = pathsTotal > 1 ? `${pathsDone} of ${plural(pathsTotal, 'path')}, ` : '';
  const amount = `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}`;
  const names = sourceNames(progress.sources);
  const from = names === '' ? '' : ` from ${names}`;
  const pace =
    silentMs >= SILENT_MS
      ? `nothing for ${formatDuration(silentMs)}`
      : `${formatBytes(Math.round(bytesPerS))}/s`;
  return `${paths}${amount}, ${pace}${from}`;
}

/** Those that gave most, first. */
function sourceNames(sources: FetchProgress['sources']): string {
  const names = Object.entries(sources)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name]) => safeLine(name, false));
  const more = names.length - MAX_NAMES;
  return names.slice(0, MAX_NAMES).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
