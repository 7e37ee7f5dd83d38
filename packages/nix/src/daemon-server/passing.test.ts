import fc from 'fast-check';
import { expect, test } from 'vitest';
import { wire } from '../daemon/testing/wire-bytes.ts';
import { arbitraryMutations, mutated } from '../testing/mutations.ts';
import { PathInfoCache } from './path-info-cache.ts';
import { arbitraryCuts, arbitraryRequest, pieces } from './testing/arbitrary-requests.ts';
import { GREETING, HELLO, read, servePair } from './testing/served-pair.ts';

const LAST = 0x616c7473;
const pass = () => Promise.resolve('pass' as const);

test('whatever a client asks for, cut anywhere, reaches the daemon byte for byte', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(arbitraryRequest, { maxLength: 12 }), arbitraryCuts, async (requests, cuts) => {
      const { client, daemon, served } = servePair({ buildPaths: pass, buildDerivation: pass });
      const sent = Buffer.concat([HELLO, ...requests]);
      daemon.write(GREETING);
      for (const piece of pieces(sent, cuts)) client.write(piece);
      expect((await read(daemon, sent.length)).equals(sent)).toBe(true);
      daemon.resume();
      client.destroy();
      await served;
    }),
  );
});

test('what was asked before is answered without the daemon, while the database does not change', async () => {
  const stamp = { text: 'one', sinceMs: 0 };
  const cache = new PathInfoCache({ stamp: () => ({ ...stamp }), now: () => Date.now() });
  const ask = wire(26, `/nix/store/${'0'.repeat(32)}-p`);
  const first = wire(LAST, 1, '', 'f'.repeat(64), 0, 7, 99, 0, 0, '');
  const second = wire(LAST, 1, '', 'e'.repeat(64), 0, 7, 99, 0, 0, '');
  const askedBy = async (answer: Buffer | undefined): Promise<Buffer> => {
    const { client, daemon, served } = servePair({ buildPaths: pass }, cache);
    daemon.write(GREETING);
    client.write(HELLO);
    await read(client, GREETING.length);
    client.write(ask);
    if (answer !== undefined) {
      await read(daemon, HELLO.length + ask.length);
      daemon.write(answer);
    }
    const told = await read(client, first.length);
    daemon.resume();
    client.destroy();
    await served;
    return told;
  };
  expect(await askedBy(first)).toEqual(first);
  expect(await askedBy(undefined)).toEqual(first);
  stamp.text = 'two';
  cache.lookAgain();
  expect(await askedBy(second)).toEqual(second);
});

/** Paths that refer to others, each by numbers. */
const arbitraryStore = fc
  .integer({ min: 1, max: 20 })
  .chain((count) =>
    fc.array(fc.uniqueArray(fc.nat(count - 1), { maxLength: 5 }), { minLength: count, maxLength: count }),
  );

test('walks over closures get the daemon’s own answers, whatever was asked for ahead', async () => {
  await fc.assert(
    fc.asyncProperty(
      arbitraryStore,
      fc.array(fc.nat(40), { maxLength: 60 }),
      arbitraryCuts,
      fc.boolean(),
      async (store, asked, cuts, isCached) => {
        const pathOf = (index: number) => `/nix/store/${String(index).padStart(32, '0')}-p`;
        const infoOf = (index: number): Buffer => {
          const references = store[index];
          if (references === undefined) return wire(LAST, 0);
          const refs = [...references].sort((a, b) => a - b).map(pathOf);
          return wire(LAST, 1, '', 'f'.repeat(64), refs.length, ...refs, 7, 99, 0, 1, 'k:sig', '');
        };
        const unchanged = { stamp: () => ({ text: 'unchanged', sinceMs: 0 }), now: () => Date.now() };
        const cache = isCached ? new PathInfoCache(unchanged) : undefined;
        const { client, daemon, served } = servePair({ buildPaths: pass }, cache);
        const indexOf = (request: Buffer) => Number(request.subarray(27, 59).toString());
        const requestBytes = wire(26, pathOf(0)).length;
        const answering = (async () => {
          daemon.write(GREETING);
          await read(daemon, HELLO.length);
          for (;;) {
            const operation = await read(daemon, 8);
            if (operation.length < 8) return;
            const request = Buffer.concat([operation, await read(daemon, requestBytes - 8)]);
            const index = indexOf(request);
            const isInfo = operation.readUInt32LE(0) === 26;
            const answer = isInfo ? infoOf(index) : wire(LAST, store[index] === undefined ? 0 : 1);
            for (const piece of pieces(answer, cuts)) daemon.write(piece);
          }
        })();
        client.write(HELLO);
        await read(client, GREETING.length);
        // Up to 20 a walk's questions; those above mix in questions whether a path is valid.
        for (const number of asked) {
          const index = number % 22;
          client.write(wire(number < 30 ? 26 : 1, pathOf(index)));
          const expected = number < 30 ? infoOf(index) : wire(LAST, store[index] === undefined ? 0 : 1);
          expect((await read(client, expected.length)).equals(expected)).toBe(true);
        }
        client.destroy();
        await served;
        daemon.destroy();
        await answering;
      },
    ),
    { numRuns: 60 },
  );
});

test('damaged streams end without throwing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(arbitraryRequest, { minLength: 1, maxLength: 6 }),
      arbitraryMutations,
      arbitraryMutations,
      arbitraryCuts,
      async (requests, ofClient, ofDaemon, cuts) => {
        const { client, daemon, served } = servePair({
          buildPaths: () => Promise.resolve(new Map([['x', { status: 3, errorMsg: 'no' }]])),
          buildDerivation: () => Promise.reject(new Error('no')),
        });
        const answers = Buffer.concat([GREETING, wire(LAST, 1, LAST, 0, LAST, 1, '', '', 0)]);
        for (const end of [client, daemon]) end.on('error', () => undefined).resume();
        const say = (end: typeof client, bytes: Buffer) => {
          for (const piece of pieces(bytes, cuts)) if (end.writable) end.write(piece);
        };
        say(daemon, mutated(answers, ofDaemon));
        say(client, mutated(Buffer.concat([HELLO, ...requests]), ofClient));
        await new Promise((resolve) => setImmediate(resolve));
        client.end();
        await served;
        daemon.destroy();
      },
    ),
    { numRuns: 200 },
  );
});
