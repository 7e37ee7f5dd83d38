import { readFile } from 'node:fs/promises';
import { type Derivation, derivationOptions, parseDerivation } from '@mesh/nix';
import type { DerivationNode } from '@mesh/schedule';
import { AgentError } from '../errors.ts';
import type { Distrust, Plan, PlannedDerivation, PlannerComponents, Wanted } from './plan.ts';

export type { Distrust, Plan, PlannedDerivation, PlannerComponents, Wanted } from './plan.ts';

/** The holder of what substituters offer. */
export const UPSTREAM = 'upstream';

interface Visit {
  derivation: Derivation;
  bytes: Uint8Array;
  outputs: Set<string>;
}

/**
 * Turns wanted derivations into the graph of what must be built: what is valid here and what a member holds is pruned, together with
 * everything only it needed. What a substituter offers is pruned too, where it is only an input: whoever builds what needs it gets it
 * from a substituter of its own. In case that fails, the plan says how home would get it. Remembers what it planned, so that a stream of roots that share
 * most of their graph costs each derivation once.
 */
export class Planner {
  readonly #components: PlannerComponents;
  /** Missing here, with the outputs wanted so far. */
  readonly #missing = new Map<string, Visit>();
  readonly #files = new Map<string, { derivation: Derivation; bytes: Uint8Array }>();
  readonly #planned = new Set<string>();
  readonly #valid = new Set<string>();
  readonly #held = new Map<string, string[]>();
  readonly #substitutable = new Map<string, number>();
  readonly #realised = new Set<string>();
  /** Wanted for themselves, so that home itself gets them. */
  readonly #roots = new Set<string>();
  readonly #distrust: Distrust;

  constructor(components: PlannerComponents, distrust: Distrust = new Map()) {
    this.#components = components;
    this.#distrust = distrust;
  }

  /** The parsed `.drv` at this path. @throws AgentError BUILD_UNREADABLE_DERIVATION */
  async derivation(drvPath: string): Promise<Derivation> {
    return (await this.#read(drvPath)).derivation;
  }

  /** Whether a substituter of this machine was found to offer this path. */
  isOffered(path: string): boolean {
    return this.#substitutable.has(path);
  }

  /** Plans these roots; only derivations that no earlier call returned are in the answer. */
  async plan(roots: Wanted[]): Promise<Plan> {
    const validBefore = this.#valid.size;
    for (const root of roots) this.#roots.add(root.drvPath);
    await this.#findMissing(roots);
    const unplanned = [...this.#missing].filter(([path]) => !this.#planned.has(path));
    if (unplanned.length === 0)
      return { derivations: [], held: new Map(), validCount: this.#valid.size - validBefore };
    const paths = unplanned.flatMap(([, visit]) => knownOutputs(visit.derivation, visit.outputs) ?? []);
    const unknown = unplanned.filter(
      ([, { derivation, outputs }]) => knownOutputs(derivation, outputs) === undefined,
    );
    const [substitutable, held, realised] = await Promise.all([
      this.#components.querySubstitutable(roots),
      this.#components.whoHas(paths.filter((path) => !this.#distrust.has(path))),
      this.#components.queryRealised?.(
        unknown.map(([drvPath, { outputs }]) => ({ drvPath, outputs: [...outputs] })),
      ),
      this.#components.remembered?.(),
    ]);
    for (const [path, peers] of held) this.#held.set(path, peers);
    for (const [path, bytes] of substitutable) this.#substitutable.set(path, bytes);
    for (const path of realised ?? []) this.#realised.add(path);
    const derivations = await this.#collect(roots);
    return { derivations, held, validCount: this.#valid.size - validBefore };
  }

  /** Breadth first from the roots, one question to the daemon for each level. */
  async #findMissing(roots: Wanted[]): Promise<void> {
    let frontier = new Map<string, Set<string>>();
    for (const root of roots) await this.#want(frontier, root.drvPath, root.outputs);
    while (frontier.size > 0) {
      const visits = await Promise.all(
        [...frontier].map(async ([path, outputs]) => ({ path, outputs, ...(await this.#read(path)) })),
      );
      const asked = visits.flatMap((visit) => knownOutputs(visit.derivation, visit.outputs) ?? []);
      const valid = await this.#components.queryValidPaths(asked);
      const next = new Map<string, Set<string>>();
      for (const { path, outputs, derivation, bytes } of visits) {
        const known = knownOutputs(derivation, outputs);
        if (known?.every((output) => valid.has(output))) {
          this.#valid.add(path);
          continue;
        }
        const seen = this.#missing.get(path);
        this.#missing.set(path, {
          derivation,
          bytes,
          outputs: new Set([...(seen?.outputs ?? []), ...outputs]),
        });
        if (seen !== undefined) continue;
        for (const [input, names] of derivation.inputDrvs) await this.#want(next, input, names);
      }
      frontier = next;
    }
  }

  /** Adds a wanted derivation to a level, unless all its wanted outputs were looked for before. */
  async #want(level: Map<string, Set<string>>, drvPath: string, outputs: string[]): Promise<void> {
    const names = outputs.length > 0 ? outputs : [...(await this.#read(drvPath)).derivation.outputs.keys()];
    const seen = this.#missing.get(drvPath)?.outputs;
    if (seen !== undefined && names.every((name) => seen.has(name))) return;
    const wanted = level.get(drvPath) ?? new Set<string>();
    for (const name of names) wanted.add(name);
    level.set(drvPath, wanted);
  }

  /** Top down over what is missing, stopping where a member or a substituter has the outputs. Iterative: graphs are deep. */
  async #collect(roots: Wanted[]): Promise<PlannedDerivation[]> {
    const collected: PlannedDerivation[] = [];
    const stack = roots.map((root) => root.drvPath);
    while (stack.length > 0) {
      const path = stack.pop() as string;
      const visit = this.#missing.get(path);
      if (visit === undefined || this.#planned.has(path)) continue;
      if (this.#isHeld(visit)) continue;
      this.#planned.add(path);
      const planned = await this.#planOne(path, visit);
      collected.push(planned);
      stack.push(...planned.node.dependencies);
    }
    return collected;
  }

  #isHeld(visit: Visit): boolean {
    const known = knownOutputs(visit.derivation, visit.outputs);
    return known?.every((output) => (this.#held.get(output)?.length ?? 0) > 0) ?? false;
  }

  #isSubstitutable({ derivation, outputs }: Visit): boolean {
    return knownOutputs(derivation, outputs)?.every((output) => this.#substitutable.has(output)) ?? false;
  }

  /** Those who need it get it from substituters of their own, unless home wants it for itself, or that failed before. */
  #leftToUpstream(
    drvPath: string,
    { derivation, outputs }: Visit,
  ): Pick<DerivationNode, 'heldBy' | 'heldBytes'> {
    const paths = knownOutputs(derivation, outputs) ?? [];
    if (this.#roots.has(drvPath) || paths.some((path) => this.#distrust.has(path))) return {};
    const heldBytes = paths.reduce((sum, path) => sum + (this.#substitutable.get(path) ?? 0), 0);
    return { heldBy: [UPSTREAM], heldBytes };
  }

  async #planOne(drvPath: string, visit: Visit): Promise<PlannedDerivation> {
    const { derivation, bytes } = visit;
    const options = derivationOptions(derivation);
    const offered = this.#isSubstitutable(visit);
    // Outputs without a path known in advance (built from content-addressed ones) need Nix's own realisation at home; content-addressed
    // ones do not, where its Nix can be told afterwards. One given by content is resolved already, so that any daemon can build it.
    const unresolved =
      !this.#components.given?.has(drvPath) &&
      knownOutputs(derivation, derivation.outputs.keys()) === undefined;
    const floating = unresolved && options.isContentAddressed && this.#mayFloat(drvPath, derivation);
    const realise = offered || (unresolved && !floating) || options.impure;
    const isBuilt = offered || this.#realised.has(drvPath);
    const dependencies: string[] = [];
    const inputs = [...derivation.inputSrcs];
    const upstream = new Set<string>();
    const knownInputs = new Map<string, string>();
    for (const [input, names] of offered ? [] : derivation.inputDrvs) {
      const missing = this.#missing.get(input);
      const { outputs } = (await this.#read(input)).derivation;
      const paths = knownOutputs({ outputs }, names) ?? [];
      for (const [name, { path }] of outputs) if (path !== '') knownInputs.set(`${input}!${name}`, path);
      if (missing !== undefined && !this.#isHeld(missing)) dependencies.push(input);
      if (missing === undefined || this.#isHeld(missing) || this.#isSubstitutable(missing))
        for (const path of paths) upstream.add(path);
      inputs.push(...paths);
    }
    const outputPaths = [...derivation.outputs.values()].map((output) => output.path);
    const shape = {
      inputs: derivation.inputDrvs.size,
      local: options.preferLocalBuild || options.isBuiltin,
      download: options.isFixedOutput,
    };
    const stays = options.isFixedOutput || options.preferLocalBuild || options.noChroot || options.isBuiltin;
    return {
      node: {
        drvPath,
        name: derivationName(drvPath),
        // Whatever it takes to build it: a substituter, or this store, has it built.
        system: isBuilt ? 'builtin' : derivation.system,
        requiredFeatures: isBuilt ? [] : options.requiredSystemFeatures,
        dependencies,
        place: offered ? 'substitute' : realise ? 'home' : stays ? 'prefer-home' : 'anywhere',
        ...(offered
          ? { predictedMs: 0, ...this.#leftToUpstream(drvPath, visit) }
          : this.#components.predict(derivationName(drvPath), derivation.system, shape)),
        outputs: outputPaths.filter((path) => path !== ''),
        ...(unresolved ? { unresolved } : {}),
        avoid: [...new Set(outputPaths.flatMap((path) => this.#distrust.get(path) ?? []))],
      },
      derivation,
      bytes,
      shape,
      method: realise ? 'realise' : 'build',
      ...(floating ? { floating: knownInputs } : {}),
      inputs: offered ? [] : inputs,
      upstream,
    };
  }

  #mayFloat(drvPath: string, { dynamicInputs }: Derivation): boolean {
    const { queryRealised } = this.#components;
    return queryRealised !== undefined && dynamicInputs === undefined && !this.#realised.has(drvPath);
  }

  async #read(drvPath: string): Promise<{ derivation: Derivation; bytes: Uint8Array }> {
    const known = this.#files.get(drvPath);
    if (known !== undefined) return known;
    const bytes = await this.#readFile(drvPath);
    const file = { derivation: parseDerivation(bytes, drvPath), bytes };
    this.#files.set(drvPath, file);
    return file;
  }

  async #readFile(drvPath: string): Promise<Uint8Array> {
    const given = this.#components.given?.get(drvPath);
    if (given !== undefined) return given;
    const read = this.#components.readDerivationFile ?? readFile;
    try {
      return await read(drvPath);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AgentError(
        'BUILD_UNREADABLE_DERIVATION',
        `Cannot read the derivation ${drvPath} (${reason}); evaluate it again, it may have been garbage collected.`,
        { cause },
      );
    }
  }
}

/** `/nix/store/<hash>-zlib-1.3.drv` to `zlib-1.3`. */
export function derivationName(drvPath: string): string {
  const base = drvPath.slice(drvPath.lastIndexOf('/') + 1);
  return base.slice(base.indexOf('-') + 1).replace(/\.drv$/, '');
}

/** Store paths of the named outputs, or undefined where one has no path before it is built. */
function knownOutputs(
  derivation: Pick<Derivation, 'outputs'>,
  names: Iterable<string>,
): string[] | undefined {
  const paths: string[] = [];
  for (const name of names) {
    const path = derivation.outputs.get(name)?.path;
    if (path === undefined || path === '') return undefined;
    paths.push(path);
  }
  return paths;
}
