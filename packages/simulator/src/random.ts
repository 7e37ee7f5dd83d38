/**
 * A seeded source of chance that can be split by name: what one part draws never shifts what another gets. sfc32 by
 * Chris Doty-Humphrey (PractRand), seeded by FNV-1a over the path of names.
 */
export class Random {
  readonly #path: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: string | number) {
    this.#path = String(seed);
    this.#a = fnv1a(`${this.#path}/a`);
    this.#b = fnv1a(`${this.#path}/b`);
    this.#c = fnv1a(`${this.#path}/c`);
    // The first draws of close seeds are alike.
    for (let i = 0; i < 12; i++) this.#next();
  }

  /** The same name gives the same source, whatever was drawn here before. */
  split(name: string): Random {
    return new Random(`${this.#path}/${name}`);
  }

  /** A number in [0, 1). */
  uniform(): number {
    return this.#next() / 0x1_0000_0000;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** An integer in [0, below). */
  integer(below: number): number {
    return Math.floor(this.uniform() * below);
  }

  /** Standard normal (Box and Muller 1958). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** `sigma` is the standard deviation of the logarithm. */
  lognormal(median: number, sigma: number): number {
    return median * Math.exp(sigma * this.normal());
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) >>> 0;
    this.#counter = (this.#counter + 1) >>> 0;
    this.#a = (this.#b ^ (this.#b >>> 9)) >>> 0;
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) >>> 0;
    return sum;
  }
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
