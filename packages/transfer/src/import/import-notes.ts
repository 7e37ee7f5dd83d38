import type { NarReport } from '../pieces/nar-report.ts';
import type { ImportItem, ImportOptions } from './import.ts';

/** What the thread that imports tells of an item, by its place in the list: with a report, or that its path is in the store. */
interface ImportNote {
  readonly index: number;
  readonly report?: NarReport;
}

/** Notes are told together this often: each message wakes the other thread. */
const NOTES_MS = 20;

/**
 * The options of an import at the importing end of a thread boundary: everything heard becomes a note. `flush` tells what was not told
 * yet, before the end of the import is.
 */
export function importNotes(
  items: readonly ImportItem[],
  signal: AbortSignal,
  notify: (notes: unknown) => void,
): ImportOptions & { flush(): void } {
  const places = new Map(items.map((item, index) => [item, index]));
  let notes: ImportNote[] = [];
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (notes.length > 0) notify(notes);
    notes = [];
  };
  const send = (note: ImportNote) => {
    notes.push(note);
    timer ??= setTimeout(flush, NOTES_MS);
  };
  return {
    signal,
    onPath: (item) => send({ index: places.get(item)! }),
    onReport: (item, report) => send({ index: places.get(item)!, report }),
    flush,
  };
}

/** Hears notes at the asking end. */
export function hearImportNotes(notes: unknown, items: readonly ImportItem[], options: ImportOptions): void {
  for (const { index, report } of notes as readonly ImportNote[]) {
    const item = items[index]!;
    if (report === undefined) options.onPath(item);
    else options.onReport?.(item, report);
  }
}
