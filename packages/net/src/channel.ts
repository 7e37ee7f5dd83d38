/**
 * A conversation with one member in whole, validated messages. Back-pressure is real both ways: an unread message is a promise the
 * sender waits for. It ends when both sides said so; anything else is an error on both sides.
 *
 * Iterating yields the peer's messages until its end, and throws where it did not end: {@link RemoteError} when the peer gave up and
 * said why, `NET_CLOSED` when it vanished, a `WireError` when it did not follow the protocol. Leaving the loop early discards whatever
 * else the peer sends; `end()` or `abort()` is still due. Only one loop at a time.
 */
export interface Channel<Out, In> extends AsyncIterable<In> {
  readonly peerId: string;
  /**
   * Sends a message; resolves when there is room for another.
   * @throws {NetError} `NET_CLOSED`
   * @throws {WireError} `WIRE_FRAME_TOO_LARGE`: this message was not sent, the channel goes on
   */
  send(message: Out): Promise<void>;
  /** The peer's next message, undefined after its last. Throws as iteration does. */
  receive(): Promise<In | undefined>;
  /** Says that no more messages follow; resolves once that is on its way. The peer may still send. */
  end(): Promise<void>;
  /** Gives the channel up at once; the peer gets the error's code and, where it is one of ours, its message. */
  abort(error: Error): void;
  /** Resolves (never rejects) when the channel is gone, however that came. */
  readonly closed: Promise<void>;
  /** Aborted when the channel is gone: for work that is pointless without it. */
  readonly signal: AbortSignal;
}
