import type { NarReport } from '../pieces/nar-report.ts';
import type { ImportItem, ImportOptions } from './import.ts';

/** What the thread that imports tells of an item, by its place in the list: with a report, or that its path is in the store. */
interface ImportNote {
  readonly index: number;
  readonly report?: NarReport;
}

/** The options of an import at the importing end of a thread boundary: everything heard becomes a note. */
export function importNotes(
  items: readonly ImportItem[],
  signal: AbortSignal,
  notify: (note: unknown) => void,
): ImportOptions {
  const places = new Map(items.map((item, index) => [item, index]));
  const send = (note: ImportNote) => notify(note);
  return {
    signal,
    onPath: (item) => send({ index: places.get(item)! }),
    onReport: (item, report) => send({ index: places.get(item)!, report }),
  };
}

/** Hears a note at the asking end. */
export function hearImportNote(note: unknown, items: readonly ImportItem[], options: ImportOptions): void {
  const { index, report } = note as ImportNote;
  const item = items[index]!;
  if (report === undefined) options.onPath(item);
  else options.onReport?.(item, report);
}
