import { availableParallelism } from 'node:os';
import type { ClientSettings } from '@mesh/nix';
import type { BuildLimits } from '@mesh/wire';

/** Longest time that the wire tells; longer ones are as good as none. */
const MAX_SECONDS = 2_147_483_647;

/**
 * What a client of Nix allows its builds. It always says numbers: all cores of this machine (0 for newer ones), or those that its
 * configuration has for builds here, are no wish.
 * @param defaultCores of builds here, by this machine's nix.conf
 */
export function limitsOf(
  { buildCores, maxSilentTimeSeconds, overrides }: ClientSettings,
  defaultCores: number,
): BuildLimits | undefined {
  const timeoutS = seconds(Number(overrides.get('timeout') ?? 0));
  const maxSilentS = seconds(maxSilentTimeSeconds);
  const isWish = buildCores > 0 && buildCores < availableParallelism() && buildCores !== defaultCores;
  const cores = isWish ? buildCores : undefined;
  if (timeoutS === undefined && maxSilentS === undefined && cores === undefined) return undefined;
  return {
    ...(cores === undefined ? {} : { cores }),
    ...(timeoutS === undefined ? {} : { timeoutS }),
    ...(maxSilentS === undefined ? {} : { maxSilentS }),
  };
}

/** What several who want the same build allow it together: nobody's build ends by another's limit. */
export function loosest(limits: readonly (BuildLimits | undefined)[]): BuildLimits | undefined {
  const [first, ...others] = limits;
  if (first === undefined) return undefined;
  let loose = first;
  for (const other of others) {
    if (other === undefined) return undefined;
    loose = {
      ...looser('cores', loose, other),
      ...looser('timeoutS', loose, other),
      ...looser('maxSilentS', loose, other),
    };
  }
  return loose;
}

/** The smaller of two limits, of which 0 and undefined are none. */
export function tightest(one: number, other: number | undefined): number {
  if (other === undefined || other === 0) return one;
  return one === 0 ? other : Math.min(one, other);
}

function looser<K extends keyof BuildLimits>(key: K, a: BuildLimits, b: BuildLimits): BuildLimits {
  const [one, other] = [a[key], b[key]];
  return one === undefined || other === undefined ? {} : { [key]: Math.max(one, other) };
}

function seconds(value: number): number | undefined {
  return Number.isInteger(value) && value > 0 && value <= MAX_SECONDS ? value : undefined;
}
