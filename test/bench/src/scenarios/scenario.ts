import type { BenchLab, Shape } from '../bench-lab.ts';
import type { Figure } from '../figure.ts';

/** One thing to measure. */
export interface Scenario {
  /** What `--only` knows it by. */
  readonly name: string;
  /** What is going to happen, for whoever waits for it. */
  readonly title: string;
  /** The lab it needs; hosts alike where nothing is said. */
  readonly shape?: Shape;
  /** @throws {BenchError} where something broke. A missed figure is no error. */
  readonly measure: (bench: BenchLab) => Promise<Figure[]>;
}
