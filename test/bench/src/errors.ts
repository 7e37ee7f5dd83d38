export type BenchErrorCode =
  | 'BENCH_USAGE'
  | 'BENCH_BUILD_FAILED'
  | 'BENCH_NOT_REMOTE'
  | 'BENCH_NO_RUNS'
  | 'BENCH_NOT_COPIED'
  | 'BENCH_SCRIPT_FAILED';

/** Something broke, so that there is no figure. A figure that is missed is not an error. */
export class BenchError extends Error {
  override readonly name = 'BenchError';
  readonly code: BenchErrorCode;

  constructor(code: BenchErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
