import type { Connection, Stream } from '@libp2p/interface';
import type { ProtocolDefinition, Schema } from '@mesh/wire';
import type { Channel } from './channel.ts';
import { OPEN_TIMEOUT_MS } from './constants.ts';
import { codeOf, NetError } from './errors.ts';
import type { Logger } from './logger.ts';
import { PressuredStream } from './stream.ts';
import { StreamChannel } from './stream-channel.ts';

/**
 * Opens a channel of `protocol` on a connection.
 * @throws {NetError} `NET_NOT_CONNECTED`
 */
export async function openChannel<D, L>(
  connection: Connection,
  protocol: ProtocolDefinition<D, L>,
  logger: Logger,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Channel<D, L>> {
  const timeout = AbortSignal.timeout(OPEN_TIMEOUT_MS);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  const peerId = connection.remotePeer.toString();
  let stream: Stream;
  try {
    stream = await connection.newStream(protocol.id, {
      signal,
      maxOutboundStreams: protocol.maxInboundStreams,
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new NetError(
      'NET_NOT_CONNECTED',
      `Peer ${peerId} could not be asked over ${protocol.id}: the connection is gone, or it runs another version of mesh.`,
      { cause: error },
    );
  }
  const channel = channelOn<D, L>(stream, peerId, protocol, protocol.listenerSchema, logger);
  channel.open();
  return channel;
}

/**
 * Runs `answer` on a stream a peer opened, ends the channel when it returns, and aborts it with its error when it throws. Not before
 * the dialer's end is ready: libp2p's negotiation there fails when an answer that closes the stream overtakes it.
 */
export async function answerStream<D, L>(
  stream: Stream,
  connection: Connection,
  protocol: ProtocolDefinition<D, L>,
  logger: Logger,
  answer: (channel: Channel<L, D>) => Promise<void> | void,
): Promise<void> {
  const peerId = connection.remotePeer.toString();
  const channel = channelOn<L, D>(stream, peerId, protocol, protocol.dialerSchema, logger);
  const timer = setTimeout(() => channel.abort(neverOpened()), OPEN_TIMEOUT_MS);
  try {
    await channel.opened;
    clearTimeout(timer);
    await answer(channel);
    await channel.end();
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    // A conversation that failed because its peer left is the peer's affair; a handler's own failure is ours.
    const level = channel.signal.aborted || codeOf(failure) !== undefined ? 'debug' : 'error';
    logger[level]({ peerId, protocol: protocol.id, error: failure }, 'A conversation with a peer failed.');
    channel.abort(failure);
  } finally {
    clearTimeout(timer);
  }
}

function neverOpened(): NetError {
  return new NetError('NET_CLOSED', 'A peer opened a stream and said nothing on it.');
}

function channelOn<Out, In>(
  stream: Stream,
  peerId: string,
  protocol: { id: string; maxFrameBytes: number },
  schema: Schema<In>,
  logger: Logger,
): StreamChannel<Out, In> {
  return new StreamChannel<Out, In>({
    peerId,
    stream: new PressuredStream(stream),
    maxFrameBytes: protocol.maxFrameBytes,
    schema,
    onViolation: (error) => {
      logger.warn({ peerId, protocol: protocol.id, code: error.code }, error.message);
    },
  });
}
