import { describe, expect, test } from 'vitest';
import { wire } from '../daemon/testing/wire-bytes.ts';
import type { BuildDerivationRequest, BuildPathsRequest, ClientTalk } from './handlers.ts';
import { ERROR, LAST, NEXT, serve, shakeHands } from './testing/served-client.ts';

const PATH = `/nix/store/${'a'.repeat(32)}-thing`;
const DRV = `/nix/store/${'b'.repeat(32)}-thing.drv`;
const OTHER = `/nix/store/${'c'.repeat(32)}-other.drv`;

const SET_OPTIONS = wire(19, 1, 0, 1, 3, 4, 60, 1, 7, 0, 0, 2, 1, 1, 'timeout', '30');

describe('what passes', () => {
  test('a request goes to the daemon and its answer to the client as they are', async () => {
    await using served = await serve({});
    await shakeHands(served);
    served.client.say(1, PATH);
    expect(await served.daemon.take(wire(1, PATH).length)).toEqual(wire(1, PATH));
    served.daemon.say(LAST, 1);
    expect(await served.client.take(16)).toEqual(wire(LAST, 1));
  });

  test('a handshake of a version too old makes everything pass, builds too', async () => {
    await using served = await serve({ buildPaths: () => Promise.reject(new Error('asked')) });
    const { client, daemon } = served;
    client.say(0x6e697863, 0x100 + 21);
    await daemon.take(16);
    daemon.say(0x6478696f, 0x100 + 38);
    await client.take(16);
    client.say(0, 0, 9, 1, `${DRV}!out`, 0);
    expect(await daemon.take(wire(0, 0, 9, 1, `${DRV}!out`, 0).length)).toEqual(
      wire(0, 0, 9, 1, `${DRV}!out`, 0),
    );
    expect(served.passedThrough).toEqual(['protocol 1.21 is older than 1.34']);
  });

  test('after an operation that is not known everything passes', async () => {
    await using served = await serve({ buildPaths: () => Promise.reject(new Error('asked')) });
    const { client, daemon } = served;
    await shakeHands(served);
    const bytes = wire(1, PATH, 99, 5, 'what', 9, 1, `${DRV}!out`, 0);
    client.socket.write(bytes);
    expect(await daemon.take(bytes.length)).toEqual(bytes);
    expect(served.passedThrough).toEqual(['operation 99 is not known']);
  });
});

describe('builds', () => {
  test('a handler gets what is wanted with the client’s settings, and a pass goes to the daemon as it came', async () => {
    const asked: BuildPathsRequest[] = [];
    await using served = await serve({
      buildPaths: (request) => {
        asked.push(request);
        return Promise.resolve('pass');
      },
    });
    const { client, daemon } = served;
    await shakeHands(served);
    client.socket.write(SET_OPTIONS);
    expect(await daemon.take(SET_OPTIONS.length)).toEqual(SET_OPTIONS);
    daemon.say(LAST);
    await client.take(8);
    const request = wire(46, 2, `${DRV}!out,dev`, PATH, 0);
    client.socket.write(request);
    expect(await daemon.take(request.length)).toEqual(request);
    expect(asked).toEqual([
      {
        wanted: [`${DRV}!out,dev`, PATH],
        mode: 'normal',
        trust: 'trusted',
        settings: {
          keepFailed: true,
          keepGoing: false,
          tryFallback: true,
          verbosity: 3,
          maxBuildJobs: 4,
          maxSilentTimeSeconds: 60,
          buildCores: 2,
          useSubstitutes: true,
          overrides: new Map([['timeout', '30']]),
        },
      },
    ]);
  });

  test('repairs and checks are the daemon’s own', async () => {
    await using served = await serve({ buildPaths: () => Promise.reject(new Error('asked')) });
    await shakeHands(served);
    const request = wire(9, 1, `${DRV}!out`, 2);
    served.client.socket.write(request);
    expect(await served.daemon.take(request.length)).toEqual(request);
  });

  test('a failure is BuildPaths’ error, and the connection lives on', async () => {
    await using served = await serve({
      buildPaths: ({ wanted }) =>
        Promise.resolve(new Map([[wanted[0]!, { status: 3, errorMsg: 'builder failed' }]])),
    });
    const { client, daemon } = served;
    await shakeHands(served);
    client.say(9, 1, `${DRV}!out`, 0);
    const error = wire(ERROR, 'Error', 0, 'Error', 'builder failed', 0, 0);
    expect(await client.take(error.length)).toEqual(error);
    client.say(1, PATH);
    expect(await daemon.take(wire(1, PATH).length)).toEqual(wire(1, PATH));
  });

  test('what a handler throws is an error for the client', async () => {
    await using served = await serve({ buildPaths: () => Promise.reject(new Error('no luck')) });
    await shakeHands(served);
    served.client.say(9, 1, `${DRV}!out`, 0);
    const error = wire(ERROR, 'Error', 0, 'Error', 'no luck', 0, 0);
    expect(await served.client.take(error.length)).toEqual(error);
  });

  test('the daemon gives the results of what did not fail', async () => {
    await using served = await serve({
      buildPaths: () => Promise.resolve(new Map([[`${OTHER}!out`, { status: 10, errorMsg: 'an input' }]])),
    });
    const { client, daemon } = served;
    await shakeHands(served, { minor: 35 });
    client.say(46, 2, `${DRV}!out`, `${OTHER}!out`, 0);
    const rest = wire(46, 1, `${DRV}!out`, 0);
    expect(await daemon.take(rest.length)).toEqual(rest);
    const result = wire(`${DRV}!out`, 2, '', 0, 0, 0, 0, 0);
    daemon.say(NEXT, 'a word\n', LAST, 1);
    daemon.socket.write(result);
    const merged = Buffer.concat([
      wire(NEXT, 'a word\n', LAST, 2, `${OTHER}!out`, 10, 'an input', 0, 0, 0, 0, 0),
      result,
    ]);
    expect(await client.take(merged.length)).toEqual(merged);
  });

  test('a derivation is answered with its outputs in the version’s own layout', async () => {
    const asked: BuildDerivationRequest[] = [];
    await using served = await serve({
      buildDerivation: (request) => {
        asked.push(request);
        return Promise.resolve({
          status: 0,
          errorMsg: '',
          startTimeS: 5,
          stopTimeS: 7,
          outputs: new Map([['out', PATH]]),
        });
      },
    });
    const { client } = served;
    await shakeHands(served, { features: ['realisation-with-path-not-hash'] });
    client.say(36, DRV, 1, 'out', PATH, '', '', 1, PATH, 'x86_64-linux', '/bin/sh', 1, '-c', 1, 'a', 'b', 0);
    const answer = wire(LAST, 0, '', 1, 0, 5, 7, 0, 0, 1, 'out', PATH, 0);
    expect(await client.take(answer.length)).toEqual(answer);
    expect(asked[0]).toMatchObject({
      drvPath: DRV,
      derivation: { inputSrcs: [PATH], system: 'x86_64-linux', builder: '/bin/sh', args: ['-c'] },
    });
  });
});

describe('ends', () => {
  test('a client that goes while a handler works for it ends the work and the daemon’s connection', async () => {
    const started = Promise.withResolvers<ClientTalk>();
    await using served = await serve({
      buildPaths: (_request, talk) => {
        started.resolve(talk);
        return new Promise(() => undefined);
      },
    });
    await shakeHands(served);
    served.client.say(9, 1, `${DRV}!out`, 0);
    const { signal } = await started.promise;
    expect(signal.aborted).toBe(false);
    served.client.socket.destroy();
    await served.daemon.ends();
    expect(signal.aborted).toBe(true);
    await served.served;
  });

  test('half a request and the end closes both sides', async () => {
    await using served = await serve({ buildPaths: () => Promise.resolve('pass') });
    await shakeHands(served);
    served.client.socket.end(wire(9, 4, `${DRV}!out`));
    await served.daemon.ends();
    await served.client.ends();
    await served.served;
  });

  test('the daemon’s end is the client’s', async () => {
    await using served = await serve({});
    await shakeHands(served);
    served.daemon.socket.end(wire(NEXT, 'bye'));
    expect(await served.client.take(wire(NEXT, 'bye').length)).toEqual(wire(NEXT, 'bye'));
    await served.client.ends();
    await served.served;
  });

  test('a length that nothing real has is refused', async () => {
    await using served = await serve({});
    await shakeHands(served);
    served.client.say(1, 1n << 60n);
    await served.client.ends();
    expect(served.client.received.subarray(0, 8)).toEqual(wire(ERROR));
    expect(served.client.received.toString('latin1')).toContain('a string of 1152921504606847000 bytes');
    await served.served;
  });
});
