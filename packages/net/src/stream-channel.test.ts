import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { bytesSchema, defineProtocol, encodeEnvelope, encodeFrame, type WireError } from '@mesh/wire';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_STREAM_WINDOW_BYTES, READ_HIGH_WATER_BYTES, WRITE_HIGH_WATER_BYTES } from './constants.ts';
import { NetError, RemoteError } from './errors.ts';
import { generateIdentity } from './identity.ts';
import { createNode } from './node.ts';
import { PressuredStream } from './stream.ts';
import { StreamChannel } from './stream-channel.ts';

const messageSchema = v.object({ n: v.number(), body: v.optional(bytesSchema) });
type Message = v.InferOutput<typeof messageSchema>;
const protocol = defineProtocol({
  id: '/mesh/test/1.0.0',
  maxFrameBytes: 128 * 1024,
  dialerSchema: messageSchema,
  listenerSchema: messageSchema,
  maxInboundStreams: 64,
});

interface End {
  stream: PressuredStream;
  raw: Stream;
  channel: StreamChannel<Message, Message>;
  violations: WireError[];
}

let dialer: Libp2p;
let listener: Libp2p;
let connection: Connection;
let accept: (raw: Stream) => void;

beforeAll(async () => {
  const nodes = await Promise.all(
    [1, 2].map(() =>
      createNode({ identity: generateIdentity(), listen: ['/ip4/127.0.0.1/tcp/0'], connectionGater: {} }),
    ),
  );
  [dialer, listener] = nodes as [Libp2p, Libp2p];
  await listener.handle(protocol.id, (raw) => accept(raw), { maxInboundStreams: 64 });
  await Promise.all([dialer.start(), listener.start()]);
  connection = await dialer.dial(listener.getMultiaddrs());
});

afterAll(async () => {
  await Promise.all([dialer.stop(), listener.stop()]);
});

function endOf(raw: Stream): End {
  const stream = new PressuredStream(raw);
  const violations: WireError[] = [];
  const channel = new StreamChannel<Message, Message>({
    peerId: 'peer',
    stream,
    maxFrameBytes: protocol.maxFrameBytes,
    schema: messageSchema,
    onViolation: (error) => violations.push(error),
  });
  return { stream, raw, channel, violations };
}

/** Both ends of a new stream between two real nodes. */
async function rawPair(): Promise<[Stream, Stream]> {
  const accepted = new Promise<Stream>((resolve) => {
    accept = resolve;
  });
  const opened = await connection.newStream(protocol.id);
  return [opened, await accepted];
}

async function pair(): Promise<[End, End]> {
  const [opened, accepted] = await rawPair();
  return [endOf(opened), endOf(accepted)];
}

async function collect(messages: AsyncIterable<Message>): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { n } of messages) numbers.push(n);
  return numbers;
}

const until = async (condition: () => boolean): Promise<void> => {
  await expect.poll(condition, { timeout: 10_000, interval: 5 }).toBe(true);
};

describe('a channel', () => {
  it('carries messages both ways and ends on both sides', async () => {
    const [a, b] = await pair();
    for (const n of [1, 2, 3]) await a.channel.send({ n });
    await a.channel.end();
    expect(await collect(b.channel)).toEqual([1, 2, 3]);
    await b.channel.send({ n: 4 });
    await b.channel.end();
    expect(await collect(a.channel)).toEqual([4]);
    await Promise.all([a.channel.closed, b.channel.closed]);
    expect(a.channel.signal.aborted).toBe(true);
  });

  it('holds 50 MB back from a reader that does not read, and loses nothing', async () => {
    const [a, b] = await pair();
    const body = new Uint8Array(64 * 1024).fill(7);
    const total = 800;
    let sent = 0;
    const sending = (async () => {
      for (let n = 0; n < total; n++) {
        await a.channel.send({ n, body });
        sent = n;
      }
      await a.channel.end();
    })();
    // The reader sleeps: sender and receiver fill up to their limits and stop.
    let before = -1;
    while (before !== sent) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    const frame = protocol.maxFrameBytes;
    expect(sent).toBeLessThan(total / 4);
    expect(a.stream.heldBytes).toBeLessThan(WRITE_HIGH_WATER_BYTES + 2 * frame);
    expect(b.stream.heldBytes).toBeLessThan(READ_HIGH_WATER_BYTES + MAX_STREAM_WINDOW_BYTES + 2 * frame);

    const numbers: number[] = [];
    for await (const message of b.channel) {
      expect(message.body?.length).toBe(body.length);
      numbers.push(message.n);
      // Awakens in fits and starts, as a busy machine does.
      if (message.n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      expect(b.stream.heldBytes).toBeLessThan(READ_HIGH_WATER_BYTES + MAX_STREAM_WINDOW_BYTES + 2 * frame);
    }
    await sending;
    expect(numbers).toEqual(Array.from({ length: total }, (_, n) => n));
  });

  it('keeps the order of messages whose senders did not wait', async () => {
    const [a, b] = await pair();
    const body = new Uint8Array(32 * 1024);
    const sending = Promise.all(Array.from({ length: 100 }, (_, n) => a.channel.send({ n, body }))).then(() =>
      a.channel.end(),
    );
    expect(await collect(b.channel)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    await sending;
  });

  it('pushes back both ways at once without a deadlock', async () => {
    const [a, b] = await pair();
    const body = new Uint8Array(64 * 1024);
    const stream = async (end: End) => {
      for (let n = 0; n < 200; n++) await end.channel.send({ n, body });
      await end.channel.end();
    };
    const [, , fromA, fromB] = await Promise.all([
      stream(a),
      stream(b),
      collect(b.channel),
      collect(a.channel),
    ]);
    expect([fromA.length, fromB.length]).toEqual([200, 200]);
  });

  it('tells the peer why it was aborted, after what was sent before', async () => {
    const [a, b] = await pair();
    await a.channel.send({ n: 1 });
    a.channel.abort(new NetError('NET_SLOW_PEER', 'Too slow.'));
    expect(await b.channel.receive()).toEqual({ n: 1 });
    await expect(b.channel.receive()).rejects.toMatchObject({
      remoteCode: 'NET_SLOW_PEER',
      message: 'Too slow.',
    });
    await Promise.all([a.channel.closed, b.channel.closed]);
    await expect(a.channel.send({ n: 2 })).rejects.toThrow();
    await expect(b.channel.send({ n: 2 })).rejects.toThrow();
  });

  it('does not tell the peer about errors that are not ours to show', async () => {
    const [a, b] = await pair();
    a.channel.abort(new Error('/secret/path'));
    const error = await b.channel.receive().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(RemoteError);
    expect(String(error)).not.toContain('secret');
  });

  it('fails where the stream closes without an end', async () => {
    const [raw, accepted] = await rawPair();
    const b = endOf(accepted);
    raw.send(encodeEnvelope({ k: 'm', b: { n: 1 } }, 1_000));
    await raw.close();
    expect(await b.channel.receive()).toEqual({ n: 1 });
    await expect(b.channel.receive()).rejects.toMatchObject({ code: 'NET_CLOSED' });
  });

  it('delivers what arrived before the stream was reset', async () => {
    const [raw, accepted] = await rawPair();
    const b = endOf(accepted);
    for (let n = 0; n < 20; n++)
      raw.send(encodeEnvelope({ k: 'm', b: { n, body: new Uint8Array(10_000) } }, 20_000));
    raw.abort(new Error('gone'));
    await b.channel.closed;
    const numbers: number[] = [];
    await expect(
      (async () => {
        for await (const { n } of b.channel) numbers.push(n);
      })(),
    ).rejects.toMatchObject({ code: 'NET_CLOSED' });
    expect(numbers).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  it('goes on after a message that was too large to send', async () => {
    const [a, b] = await pair();
    await expect(
      a.channel.send({ n: 1, body: new Uint8Array(protocol.maxFrameBytes) }),
    ).rejects.toMatchObject({
      code: 'WIRE_FRAME_TOO_LARGE',
    });
    await a.channel.send({ n: 2 });
    expect(await b.channel.receive()).toEqual({ n: 2 });
    a.channel.abort(new Error('done'));
  });

  it('discards what follows when its reader leaves, and can still end', async () => {
    const [a, b] = await pair();
    const sending = (async () => {
      for (let n = 0; n < 100; n++) await a.channel.send({ n, body: new Uint8Array(64 * 1024) });
      await a.channel.end();
    })();
    for await (const { n } of b.channel) if (n === 3) break;
    await b.channel.end();
    await sending;
    await Promise.all([a.channel.closed, b.channel.closed]);
  });

  describe.each([
    ['garbled bytes', Uint8Array.of(0, 0, 0, 2, 0xff, 0xff), 'WIRE_BAD_MESSAGE'],
    [
      'a frame over the limit',
      encodeFrame(new Uint8Array(protocol.maxFrameBytes + 1)),
      'WIRE_FRAME_TOO_LARGE',
    ],
    ['a message of another schema', encodeEnvelope({ k: 'm', b: { n: 'one' } }, 100), 'WIRE_BAD_MESSAGE'],
  ])('that receives %s', (_what, bytes, code) => {
    it('says so to both sides, once, and the connection lives on', async () => {
      const [raw, accepted] = await rawPair();
      const b = endOf(accepted);
      const sender = new PressuredStream(raw);
      await sender.write(bytes);
      await expect(b.channel.receive()).rejects.toMatchObject({ code });
      expect(b.violations).toHaveLength(1);
      const answer: number[] = [];
      await expect(
        (async () => {
          for await (const chunk of sender) answer.push(...chunk);
        })(),
      ).rejects.toMatchObject({ code: 'NET_CLOSED' });
      expect(Buffer.from(answer).toString('latin1')).toContain(code);
      const [c, d] = await pair();
      await c.channel.send({ n: 5 });
      expect(await d.channel.receive()).toEqual({ n: 5 });
      c.channel.abort(new Error('done'));
    });
  });

  it('closes when the connection does', async () => {
    const [a, b] = await pair();
    await a.channel.send({ n: 1 });
    await until(() => b.stream.heldBytes === 0);
    connection.abort(new Error('cable pulled'));
    await Promise.all([a.channel.closed, b.channel.closed]);
    expect(b.channel.signal.aborted).toBe(true);
    expect(await b.channel.receive()).toEqual({ n: 1 });
    await expect(b.channel.receive()).rejects.toMatchObject({ code: 'NET_CLOSED' });
    connection = await dialer.dial(listener.getMultiaddrs());
  });
});
