/** A key written otherwise than any that exists is taken for another where at most this share of its letters is wrong. */
const TOLERATED_SHARE = 0.4;

/**
 * The key that was probably meant: of the same last name elsewhere (`cores` for `offer.cores`), or of nearly the same letters.
 * Undefined where nothing is near.
 */
export function nearestKey(wrong: string, keys: readonly string[]): string | undefined {
  const lastName = (path: string): string => path.slice(path.lastIndexOf('.') + 1).toLowerCase();
  const namesakes = keys.filter((key) => lastName(key) === lastName(wrong));
  const candidates = namesakes.length > 0 ? namesakes : keys;
  let nearest: { key: string; distance: number; whole: number } | undefined;
  for (const key of candidates) {
    const whole = editDistance(wrong, key);
    const distance = Math.min(whole, editDistance(lastName(wrong), lastName(key)));
    const nearer =
      nearest === undefined ||
      distance < nearest.distance ||
      (distance === nearest.distance && whole < nearest.whole);
    if (nearer) nearest = { key, distance, whole };
  }
  if (nearest === undefined) return undefined;
  const limit = Math.max(1, Math.floor(lastName(wrong).length * TOLERATED_SHARE));
  return namesakes.length > 0 || nearest.distance <= limit ? nearest.key : undefined;
}

/** Letters to insert, remove, change or swap with their neighbour (optimal string alignment), whatever their case. */
export function editDistance(left: string, right: string): number {
  const a = left.toLowerCase();
  const b = right.toLowerCase();
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const change = a[row - 1] === b[column - 1] ? 0 : 1;
      let distance = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + change,
      );
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (row > 1 && column > 1 && swapped) distance = Math.min(distance, (beforeLast[column - 2] ?? 0) + 1);
      current.push(distance);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}
