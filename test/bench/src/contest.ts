/** Somebody who does the work; returns the seconds it took. */
export interface Contestant<Name extends string = string> {
  readonly name: Name;
  readonly run: (salt: string) => Promise<number>;
}

/**
 * Lets all contestants do the work `runs` times, by turns, so that whatever else the machine does meanwhile hits all alike.
 * Each time with a salt of its own: nobody finds what another has built.
 * @param onRun Told of every run, as it ends.
 */
export async function contest<Name extends string>(
  contestants: readonly Contestant<Name>[],
  runs: number,
  salt: () => string,
  onRun: (name: Name, seconds: number) => void,
): Promise<Record<Name, number[]>> {
  const seconds = Object.fromEntries(contestants.map(({ name }) => [name, [] as number[]])) as Record<
    Name,
    number[]
  >;
  for (let run = 0; run < runs; run++) {
    for (const contestant of contestants) {
      const took = await contestant.run(salt());
      seconds[contestant.name].push(took);
      onRun(contestant.name, took);
    }
  }
  return seconds;
}
