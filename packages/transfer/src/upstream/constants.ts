/** Nix's settings for questions: a substituter that is off must not hold up what it could only have made faster. */
export const ASKING_OVERRIDES: Readonly<Record<string, string>> = {
  'connect-timeout': '2',
  'download-attempts': '1',
  'stalled-download-timeout': '4',
};

/** And for fetching: a line that drops for a moment is tried again, one that is dead is given up soon. */
export const FETCHING_OVERRIDES: Readonly<Record<string, string>> = {
  'connect-timeout': '5',
  'download-attempts': '2',
  'stalled-download-timeout': '15',
};

/** What is planned waits this long for substituters that answer, however slowly: to build what they offer costs more. */
export const PLANNING_TIMEOUT_MS = 60_000;

/** A fetch that has no other source waits this long for an answer. */
export const ONLY_SOURCE_TIMEOUT_MS = 8_000;

/** A fetch that members could serve waits this long. */
export const OTHER_SOURCE_TIMEOUT_MS = 1_000;

/** Substituters that did not answer in time count as offering nothing for so long. */
export const SILENT_FOR_MS = 60_000;

/** Connections for questions at once; each is a process of the daemon. */
export const ASKING_CONNECTIONS = 2;

/** Paths substituted at once: the number that newer versions of Nix take for themselves. */
export const SUBSTITUTIONS_AT_ONCE = 16;

/**
 * Substituters send compressed what members send as it is. Only where the substituters' line, so much better used, may be the
 * faster one are they asked about what a member has: every question costs them and us a round trip.
 */
export const BEST_COMPRESSION = 4;
