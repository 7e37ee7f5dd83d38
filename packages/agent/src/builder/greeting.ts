import * as v from 'valibot';

/** Version of what a `mesh-builder` and the agent say to each other before Nix speaks. */
export const BUILDER_VERSION = 1;

const words = v.pipe(v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(128))), v.maxLength(256));

/** The first line of a `mesh-builder`, JSON: what the line of the builder in nix.conf says it can do; nothing said is anything. */
export const greetingSchema = v.object({
  version: v.number(),
  systems: v.optional(words, []),
  features: v.optional(words, []),
});
export type BuilderGreeting = v.InferOutput<typeof greetingSchema>;

/** The agent's answer, a line of JSON; after `ok` the connection is Nix's, otherwise `refused` says why it is over. */
export type BuilderWelcome = { readonly ok: true } | { readonly refused: string };

/** What a member offers, as its last record says. */
export interface OfferedMachine {
  readonly name: string;
  readonly systems: readonly string[];
  readonly systemFeatures: readonly string[];
  readonly slots: number;
  readonly closed?: string | undefined;
}

/**
 * Why Nix should ask another builder; undefined where some machine may do. Nix goes on to its next builder, or builds by itself, only
 * where a builder refuses the connection: once connected, it takes the builder's word for the derivation's end.
 */
export function whyNobody(
  { systems, features }: BuilderGreeting,
  others: readonly OfferedMachine[],
): string | undefined {
  if (others.length === 0) return 'no other machine of the mesh is connected';
  const open = others.filter(({ closed, slots }) => closed === undefined && slots > 0);
  if (open.length === 0) return `no other machine of the mesh takes builds now (${reasons(others)})`;
  const able = open.filter(
    (machine) =>
      (systems.length === 0 || systems.some((system) => machine.systems.includes(system))) &&
      features.every((feature) => machine.systemFeatures.includes(feature)),
  );
  if (able.length > 0) return undefined;
  const wish = [...systems, ...features.map((feature) => `feature ${feature}`)].join(', ');
  return `no other machine of the mesh that takes builds now offers ${wish}`;
}

function reasons(machines: readonly OfferedMachine[]): string {
  return machines.map(({ name, closed }) => `${name}: ${closed ?? 'no slots'}`).join('; ');
}
