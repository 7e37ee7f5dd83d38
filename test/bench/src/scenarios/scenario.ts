import type { BenchLab, Shape } from '../bench-lab.ts';
import type { Figure } from '../figure.ts';

/** What every scenario gets. */
export interface Bench {
  /** How often each contestant does each work. */
  readonly runs: number;
  /** Never the same twice. */
  readonly salt: () => string;
  /** Tells whoever waits how long something took. */
  readonly told: (name: string, seconds: number) => void;
}

interface Named {
  /** What `--only` knows it by. */
  readonly name: string;
  /** What is going to happen, for whoever waits for it. */
  readonly title: string;
}

interface InSharedLab extends Named {
  /** The lab it needs; hosts alike where nothing is said. */
  readonly shape?: Shape;
  /** @throws {BenchError} where something broke. A missed figure is no error. */
  readonly measure: (bench: BenchLab) => Promise<Figure[]>;
}

interface InLabOfItsOwn extends Named {
  readonly shape: 'own';
  /** @throws {BenchError} where something broke. A missed figure is no error. */
  readonly measure: (bench: Bench) => Promise<Figure[]>;
}

/** One thing to measure. */
export type Scenario = InSharedLab | InLabOfItsOwn;
