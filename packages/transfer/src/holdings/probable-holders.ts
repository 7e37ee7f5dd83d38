/** What gossiped summaries say about who has what: no round trip, and sometimes wrong. */
export interface ProbableHolders {
  /** Connected members that probably hold the path. */
  of(path: string): readonly string[];
  /** As {@link of}, by the 32 characters of a store path's hash. */
  ofHash(hashPart: string): readonly string[];
  /** Connected members whose summary is not here (yet): they have to be asked. */
  unknown(): readonly string[];
}
