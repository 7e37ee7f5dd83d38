import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { wire } from '../daemon/testing/wire-bytes.ts';
import { NarParser } from '../nar-parser.ts';
import { writeStoreNar } from './store-nar.ts';
import { ERROR, LAST, serve, shakeHands } from './testing/served-client.ts';

const MIB = 1024 * 1024;
const store = mkdtempSync(join(tmpdir(), 'store-nar-'));
afterAll(() => rmSync(store, { recursive: true }));

const NAME = `${'a'.repeat(32)}-large`;
const CONTENTS = Buffer.alloc(3 * MIB + 5, 'some contents ');

const nar = (contents: Buffer): Buffer =>
  Buffer.concat([
    wire('nix-archive-1', '(', 'type', 'regular', 'contents', contents.length),
    contents,
    Buffer.alloc((8 - (contents.length % 8)) % 8),
    wire(')'),
  ]);

async function written(path: string): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  const whole = await writeStoreNar(path, (bytes) => {
    parts.push(Buffer.from(bytes));
    return Promise.resolve();
  });
  return whole ? Buffer.concat(parts) : undefined;
}

describe('a NAR from the store’s files', () => {
  test('is the file’s', async () => {
    writeFileSync(join(store, NAME), CONTENTS);
    expect((await written(join(store, NAME)))?.equals(nar(CONTENTS))).toBe(true);
  });

  test('has all of a folder', async () => {
    const path = join(store, 'folder');
    mkdirSync(path);
    writeFileSync(join(path, 'a'), CONTENTS, { mode: 0o755 });
    symlinkSync('a', join(path, 'link'));
    writeFileSync(join(path, 'z'), CONTENTS.subarray(1));
    const entries: string[] = [];
    const parser = new NarParser({
      regular: (name, size, executable) => void entries.push(`${name} ${size} ${executable}`),
      symlink: (name, target) => void entries.push(`${name} ${target}`),
    });
    parser.push((await written(path))!);
    expect(parser.done).toBe(true);
    expect(entries).toEqual([`a ${3 * MIB + 5} true`, 'link a', `z ${3 * MIB + 4} false`]);
  });

  test('is left to the daemon where it is small or not there', async () => {
    writeFileSync(join(store, 'small'), 'small');
    expect(await written(join(store, 'small'))).toBeUndefined();
    expect(await written(join(store, 'none'))).toBeUndefined();
  });
});

describe('NarFromPath', () => {
  const request = wire(38, `/nix/store/${NAME}`);
  const question = wire(1, `/nix/store/${NAME}`);

  test('is answered from the files where the daemon says that the path is valid', async () => {
    await using served = await serve({}, store);
    await shakeHands(served);
    served.client.socket.write(request);
    expect(await served.daemon.take(question.length)).toEqual(question);
    served.daemon.say(LAST, 1);
    const answer = Buffer.concat([wire(LAST), nar(CONTENTS)]);
    expect((await served.client.take(answer.length)).equals(answer)).toBe(true);
    served.client.say(23);
    expect(await served.daemon.take(8)).toEqual(wire(23));
  });

  test('is the daemon’s own where the path is not valid for it', async () => {
    await using served = await serve({}, store);
    await shakeHands(served);
    served.client.socket.write(request);
    await served.daemon.take(question.length);
    served.daemon.say(LAST, 0);
    expect(await served.daemon.take(request.length)).toEqual(request);
    const error = wire(ERROR, 'Error', 0, 'Error', 'not valid', 0, 0);
    served.daemon.socket.write(error);
    expect(await served.client.take(error.length)).toEqual(error);
  });
});
