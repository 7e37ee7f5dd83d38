/** What can be wrong with bytes a peer sent. */
export type WireErrorCode = 'WIRE_BAD_MESSAGE' | 'WIRE_FRAME_TOO_LARGE';

/** Bytes that do not follow a protocol. The message is one sentence and never holds the bytes themselves. */
export class WireError extends Error {
  readonly code: WireErrorCode;

  constructor(code: WireErrorCode, message: string) {
    super(message);
    this.name = 'WireError';
    this.code = code;
  }
}
