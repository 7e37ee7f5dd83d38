import type { BasicDerivation } from '../basic-derivation.ts';
import type { Trust } from '../daemon/connection.ts';
import type { PathInfo } from '../path-info.ts';

/** What a client said with SetOptions; later overrides win over the plain fields. */
export interface ClientSettings {
  readonly keepFailed: boolean;
  readonly keepGoing: boolean;
  readonly tryFallback: boolean;
  readonly verbosity: number;
  readonly maxBuildJobs: number;
  readonly maxSilentTimeSeconds: number;
  readonly buildCores: number;
  readonly useSubstitutes: boolean;
  /** Settings by name, e.g. `builders`, `timeout`, `substituters`. */
  readonly overrides: ReadonlyMap<string, string>;
}

/** A field of an activity or of a result of one. */
export type TalkField = number | string;

/** Says things to the client while it waits for an answer, in Nix's own terms (activities, results, lines). */
export interface ClientTalk {
  /** Starts an activity and returns its id. `type` and `fields` as in Nix's `ActivityType` (105: a build). */
  startActivity(activity: {
    readonly level: number;
    readonly type: number;
    readonly text: string;
    readonly fields?: readonly TalkField[];
    readonly parent?: number;
  }): number;
  /** Tells something of an activity: 101 a log line, 104 a phase, 105 progress, 106 what is expected. */
  result(activity: number, type: number, fields: readonly TalkField[]): void;
  stopActivity(activity: number): void;
  /** A message for people, with its newline left out. */
  line(text: string): void;
  /** Aborted when the client is gone: what runs for it alone must end. */
  readonly signal: AbortSignal;
}

export type ClientBuildMode = 'normal' | 'repair' | 'check';

/** BuildPaths and BuildPathsWithResults. */
export interface BuildPathsRequest {
  /** Store paths, and derivations with outputs (`….drv!out,dev`, `….drv!*`), as the client wrote them. */
  readonly wanted: readonly string[];
  readonly mode: ClientBuildMode;
  readonly settings: ClientSettings;
  /** Whether the real daemon trusts this client; those before 2.9 do not say. */
  readonly trust: Trust;
}

/** BuildDerivation. */
export interface BuildDerivationRequest {
  readonly drvPath: string;
  /** With the whole closure of its inputs in `inputSrcs`. */
  readonly derivation: BasicDerivation;
  readonly mode: ClientBuildMode;
  readonly settings: ClientSettings;
  /** Whether the real daemon trusts this client; those before 2.9 do not say. */
  readonly trust: Trust;
}

/** How a build ended: the numbers are Nix's `BuildResult::Status`. */
export interface ClientBuildResult {
  /** 0 built, 2 was valid, 3 permanent failure, 6 transient failure, 8 timed out, 9 other failure, 10 an input failed. */
  readonly status: number;
  readonly errorMsg: string;
  readonly startTimeS?: number;
  readonly stopTimeS?: number;
  /** Output names to store paths. */
  readonly outputs?: ReadonlyMap<string, string>;
}

/**
 * What is done in place of the real daemon. What a handler leaves out, and what it answers `pass` to, goes to the real
 * daemon as the client sent it, and its answer back as it came. One operation of a client runs at a time.
 */
export interface ClientHandlers {
  /**
   * Makes what is wanted valid in this store, then answers `pass`: the real daemon then finds nothing to build and answers in
   * its own words. Failures are answered for the wanted paths they concern, by their text in `wanted`; what is wanted and not
   * answered for must be valid then, because the real daemon is asked for it.
   */
  buildPaths?(
    request: BuildPathsRequest,
    talk: ClientTalk,
  ): Promise<'pass' | ReadonlyMap<string, ClientBuildResult>>;
  buildDerivation?(request: BuildDerivationRequest, talk: ClientTalk): Promise<'pass' | ClientBuildResult>;
  /** For paths that are not in this store but can be given. */
  queryPathInfo?(path: string): Promise<'pass' | PathInfo>;
  /** Writes the NAR of such a path; `write` resolves when more may come. */
  narFromPath?(path: string, write: (chunk: Uint8Array) => Promise<void>): Promise<'pass' | 'written'>;
}
