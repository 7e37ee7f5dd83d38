import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sendBufferWidener } from './send-buffer.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-send-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Bytes that the kernel takes of a server's side while its client reads nothing. */
async function takenUnread(prepare: (socket: Socket) => void): Promise<number> {
  const path = join(directory, `${Math.random()}.sock`);
  const server = createServer({ pauseOnConnect: true }).listen(path);
  await once(server, 'listening');
  const client = connect(path).pause();
  const [socket] = (await once(server, 'connection')) as [Socket];
  prepare(socket);
  const chunk = Buffer.alloc(16 * 1024);
  let taken = 0;
  for (let i = 0; i < 1_000 && socket.writableLength === 0; i++) {
    socket.write(chunk);
    if (socket.writableLength === 0) taken += chunk.length;
  }
  socket.destroy();
  client.destroy();
  server.close();
  return taken;
}

test.skipIf(process.platform !== 'linux')(
  'a widened connection takes more before its reader has read',
  async () => {
    const widen = await sendBufferWidener();
    expect(await takenUnread(widen)).toBeGreaterThan(await takenUnread(() => undefined));
  },
);
