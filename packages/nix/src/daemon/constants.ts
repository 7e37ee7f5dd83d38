/*
 * The worker protocol's numbers and this client's limits.
 * Source of the numbers: NixOS/nix src/libstore/include/nix/store/worker-protocol.hh.
 */

export const DEFAULT_SOCKET_PATH = '/nix/var/nix/daemon-socket/socket';

export const CLIENT_MAGIC = 0x6e697863;
export const DAEMON_MAGIC = 0x6478696f;

/** The newest version spoken here; later things come as features, not as versions. */
export const PROTOCOL_MAJOR = 1;
export const PROTOCOL_MINOR = 38;
/** Nix 2.8: the first with BuildPathsWithResults (46) and frames everywhere this client sends data. */
export const OLDEST_MINOR = 34;
export const MINOR_WITH_TRUST = 35;
export const MINOR_WITH_CPU_TIMES = 37;
export const MINOR_WITH_FEATURES = 38;

/** BuildResult names output paths directly instead of JSON realisations (Nix 2.35). */
export const FEATURE_REALISATION_WITH_PATH = 'realisation-with-path-not-hash';
/** CollectGarbage says which paths, and whether those that refer to them may go (Nix 2.35). */
export const FEATURE_DELETE_REFERRERS = 'delete-dead-specific-referrers';
export const CLIENT_FEATURES: readonly string[] = [FEATURE_REALISATION_WITH_PATH];

export const Operation = {
  IsValidPath: 1,
  HasSubstitutes: 3,
  QueryPathHash: 4,
  QueryReferences: 5,
  QueryReferrers: 6,
  AddToStore: 7,
  AddTextToStore: 8,
  BuildPaths: 9,
  EnsurePath: 10,
  AddTempRoot: 11,
  AddIndirectRoot: 12,
  SyncWithGC: 13,
  FindRoots: 14,
  ExportPath: 16,
  QueryDeriver: 18,
  SetOptions: 19,
  CollectGarbage: 20,
  QuerySubstitutablePathInfo: 21,
  QueryDerivationOutputs: 22,
  QueryAllValidPaths: 23,
  QueryPathInfo: 26,
  ImportPaths: 27,
  QueryDerivationOutputNames: 28,
  QueryPathFromHashPart: 29,
  QuerySubstitutablePathInfos: 30,
  QueryValidPaths: 31,
  QuerySubstitutablePaths: 32,
  QueryValidDerivers: 33,
  OptimiseStore: 34,
  VerifyStore: 35,
  BuildDerivation: 36,
  AddSignatures: 37,
  NarFromPath: 38,
  AddToStoreNar: 39,
  QueryMissing: 40,
  QueryDerivationOutputMap: 41,
  RegisterDrvOutput: 42,
  QueryRealisation: 43,
  AddMultipleToStore: 44,
  AddBuildLog: 45,
  BuildPathsWithResults: 46,
  AddPermRoot: 47,
} as const;

export const Message = {
  Next: 0x6f6c6d67,
  Read: 0x64617461,
  Write: 0x64617416,
  Last: 0x616c7473,
  Error: 0x63787470,
  StartActivity: 0x53545254,
  StopActivity: 0x53544f50,
  Result: 0x52534c54,
} as const;

/** Longest string taken from a daemon. Real ones are paths, log lines and messages; 16 MiB is a very long message. */
export const MAX_STRING_BYTES = 16 * 1024 * 1024;
/** Most items taken in one collection: above the paths of the largest stores known, below what would fill memory. */
export const MAX_ITEMS = 2_000_000;
/** Paths of a long list read between two turns of the event loop: one or two milliseconds. */
export const PATHS_PER_TURN = 500;
/** Fields of one activity or result; Nix sends at most five. */
export const MAX_FIELDS = 64;
/** Traces of one error; `--show-trace` of a deep evaluation has hundreds. */
export const MAX_TRACES = 10_000;
/** Activities known at once on one connection; a build has a handful, a large substitution some thousands. */
export const MAX_ACTIVITIES = 100_000;

/** The daemon forks for each connection, which a machine in the middle of swapping may take long for. */
export const HANDSHAKE_TIMEOUT_MS = 30_000;
/** Before the next try where too many wait for the daemon to take their connections: it takes one in some milliseconds. */
export const QUEUE_FULL_PAUSE_MS = 10;
/**
 * Longest silence in the middle of an answer. The daemon writes an answer in one go; only a slow disk under a NAR
 * can hold it up. Between messages (a long build) there is no limit.
 */
export const STALL_TIMEOUT_MS = 120_000;

/** Silence before a connection with a running operation is cut: many times what a daemon needs to handle a message. */
export const CLOSE_QUIET_MS = 50;
/** A build that never stops talking notices the end at its next line, so this is soon enough. */
export const CLOSE_TIMEOUT_MS = 250;

/** Bytes received and not yet read at which the socket is paused. */
export const RECEIVE_BUFFER_BYTES = 1024 * 1024;
/** Data is sent in frames of about this size: large enough that the eight bytes and the call do not count. */
export const FRAME_BYTES = 64 * 1024;
/** Events waiting for a slow reader before the daemon is made to wait. */
export const MAX_WAITING_EVENTS = 1024;

/** A pooled connection waits this long for its next use: longer than the pauses within a job. */
export const POOL_IDLE_MS = 5_000;
/** However busy it is: what a connection rooted must be free for garbage collection some time. */
export const POOL_MAX_AGE_MS = 60_000;
