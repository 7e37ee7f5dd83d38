import type { DoctorFacts } from './facts.ts';
import { type Finding, ok, warning } from './finding.ts';

/** Machines of Nix's `builders` that have no agent. Nothing is said where there are none. */
export function builderChecks({ agent }: DoctorFacts): Finding[] {
  if (!agent.ok) return [];
  const { builders = [], builderTroubles = [] } = agent.value.peers;
  const wrongLines = builderTroubles.map((trouble) =>
    warning('builders', trouble.replace(/\.$/, ''), 'mend that line; the others are used'),
  );
  const resting = builders.filter(({ state, trouble }) => state === 'resting' && trouble !== undefined);
  const usable = builders.length - resting.length;
  const limited = builders.filter(({ state, trouble }) => state !== 'resting' && trouble !== undefined);
  return [
    ...wrongLines,
    ...resting.map(({ name, place, trouble = '' }) =>
      warning(
        'builders',
        `${name} is left alone: ${trouble.replace(/\.$/, '')}`,
        `mend that machine, or take it out of ${place}; it is tried again by itself`,
      ),
    ),
    ...limited.map(({ name, trouble = '' }) => {
      const [what, mend = 'mend that machine'] = trouble.replace(/\.$/, '').split(/: (?=[^:]*$)/);
      return warning('builders', `${name} can be used, but ${what}`, mend);
    }),
    ...(usable > 0
      ? [ok('builders', `${usable} of ${builders.length} machines without an agent can be used`)]
      : []),
  ];
}
