/**
 * Takes away the entries that were set first. Many at a time: a map that loses its first entry again and again is searched through
 * all that were there before.
 */
export function dropOldest<Key>(map: Map<Key, unknown>, count: number): void {
  let left = count;
  for (const key of map.keys()) {
    if (left-- <= 0) return;
    map.delete(key);
  }
}
