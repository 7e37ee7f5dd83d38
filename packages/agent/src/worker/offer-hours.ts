const MINUTES_PER_HOUR = 60;

/**
 * Whether a time of day lies in hours such as `22:00-07:00` (over midnight), `09:00-17:30` or `00:00-24:00`. The first minute belongs to them,
 * the last does not; hours that end where they begin are the whole day.
 */
export function isWithinHours(hours: string, minuteOfDay: number): boolean {
  const [from, to] = hours.split('-').map(minuteOf) as [number, number];
  if (from < to) return minuteOfDay >= from && minuteOfDay < to;
  return minuteOfDay >= from || minuteOfDay < to;
}

/** Local time of day. */
export function minuteOfDay(at: Date): number {
  return at.getHours() * MINUTES_PER_HOUR + at.getMinutes();
}

function minuteOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * MINUTES_PER_HOUR + minutes;
}
