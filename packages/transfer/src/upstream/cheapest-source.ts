import type { UpstreamOffer } from './upstream.ts';

/** How fast bytes come from somewhere. */
export interface SourceSpeed {
  /** Milliseconds until the first byte. */
  readonly latencyMs: number;
  readonly bytesPerMs: number;
}

/** A path missing here, with what is known of its sources. */
export interface MissingRoot {
  readonly path: string;
  /** The members said to have it, together: the fastest of them at least. Absent where there is none. */
  readonly members?: SourceSpeed;
}

/** Which roots come from where. */
export interface SourceChoice {
  readonly fromMembers: readonly string[];
  readonly fromUpstream: readonly string[];
  /** Both parts need some of the same paths: the members' part begins when the other is over, or these would come twice. */
  readonly overlap: boolean;
}

/**
 * Chooses for each root the source that is expected to have its missing closure here first; the members where both are the same.
 * What an earlier root brings from upstream costs a later one nothing there, nor from members.
 *
 * @param offers what substituters offer of the roots' missing closures; a root that is not in it cannot come from there
 */
export function cheapestSource(
  roots: readonly MissingRoot[],
  offers: ReadonlyMap<string, UpstreamOffer>,
  upstream: SourceSpeed,
): SourceChoice {
  const fromMembers: string[] = [];
  const fromUpstream: string[] = [];
  const coming = new Set<string>();
  const membersBring = new Set<string>();
  // What has one source only is settled first, so that the others know what comes anyway.
  const settled = roots.filter(({ members }) => members === undefined);
  for (const root of [...settled, ...roots.filter(({ members }) => members !== undefined)]) {
    const closure = offers.has(root.path) ? missingClosure(root.path, offers) : undefined;
    if (closure === undefined || isCheaperFromMembers(root, closure, coming, offers, upstream)) {
      fromMembers.push(root.path);
      for (const path of closure ?? []) membersBring.add(path);
    } else {
      fromUpstream.push(root.path);
      for (const path of closure) coming.add(path);
    }
  }
  return { fromMembers, fromUpstream, overlap: [...membersBring].some((path) => coming.has(path)) };
}

/** The path and all it refers to, as far as it is missing here. Iterative: closures are deep. */
export function missingClosure(root: string, offers: ReadonlyMap<string, UpstreamOffer>): Set<string> {
  const closure = new Set<string>();
  const stack = [root];
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    const offer = offers.get(path);
    if (offer === undefined || closure.has(path)) continue;
    closure.add(path);
    stack.push(...offer.references);
  }
  return closure;
}

function isCheaperFromMembers(
  { members }: MissingRoot,
  closure: ReadonlySet<string>,
  coming: ReadonlySet<string>,
  offers: ReadonlyMap<string, UpstreamOffer>,
  upstream: SourceSpeed,
): boolean {
  if (members === undefined) return false;
  let downloadBytes = 0;
  let narBytes = 0;
  for (const path of closure) {
    if (coming.has(path)) continue;
    const offer = offers.get(path)!;
    downloadBytes += offer.downloadBytes;
    narBytes += offer.narBytes;
  }
  return durationMs(members, narBytes) <= durationMs(upstream, downloadBytes);
}

function durationMs({ latencyMs, bytesPerMs }: SourceSpeed, bytes: number): number {
  return latencyMs + bytes / bytesPerMs;
}
