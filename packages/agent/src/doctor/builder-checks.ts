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
  return [
    ...wrongLines,
    ...resting.map(({ name, place, trouble = '' }) =>
      warning(
        'builders',
        `${name} is left alone: ${trouble.replace(/\.$/, '')}`,
        `mend that machine, or take it out of ${place}; it is tried again by itself`,
      ),
    ),
    ...(usable > 0
      ? [ok('builders', `${usable} of ${builders.length} machines without an agent can be used`)]
      : []),
  ];
}
