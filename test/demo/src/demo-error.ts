/** The demo did not show what it is there to show; the message says what happened and what to do. */
export class DemoError extends Error {
  readonly code: 'DEMO_BUILD_FAILED' | 'DEMO_NOT_SPREAD' | 'DEMO_NO_NIX';

  constructor(code: DemoError['code'], message: string) {
    super(message);
    this.name = 'DemoError';
    this.code = code;
  }
}
