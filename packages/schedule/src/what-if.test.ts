import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { builtOn, fleetOf, machineOf } from './test-runs.ts';
import { whatIf } from './what-if.ts';

const savings = (...args: Parameters<typeof whatIf>) =>
  Object.fromEntries(whatIf(...args)!.map(({ like, savedMs }) => [like, savedMs]));

describe('what one more machine would have saved', () => {
  test('is half of the time of independent work on one machine', () => {
    const derivations = Array.from({ length: 8 }, (_, i) =>
      builtOn('home', `d${i}`, [i * 1_000, (i + 1) * 1_000]),
    );
    const machines = fleetOf(machineOf('home'));
    expect(savings({ wallMs: 8_000, derivations, machines })).toEqual({ home: 4_000 });
    expect(savings({ wallMs: 10_000, derivations, machines })).toEqual({ home: 5_000 });
  });

  test('is nothing for a chain, however fast a machine is that the job had already', () => {
    const derivations = Array.from({ length: 5 }, (_, i) =>
      builtOn('home', `d${i}`, [i * 1_000, (i + 1) * 1_000], { dependencies: i === 0 ? [] : [`d${i - 1}`] }),
    );
    const machines = fleetOf(machineOf('home'), machineOf('h2', { speed: 2, slots: 0 }));
    expect(savings({ wallMs: 5_000, derivations, machines })).toEqual({ home: 0 });
    const faster = fleetOf(
      machineOf('home'),
      machineOf('arm', { speed: 4, systems: ['aarch64-linux'] }),
      machineOf('h2', { speed: 2 }),
    );
    expect(savings({ wallMs: 5_000, derivations, machines: faster })).toEqual({ home: 0, arm: 0, h2: 0 });
  });

  test('counts the way its inputs have to go', () => {
    const big = { outputBytes: 110_000 * 10_000 };
    const derivations = [
      builtOn('home', 'source', [0, 1_000], big),
      ...['a', 'b'].map((name, i) =>
        builtOn('home', name, [1_000 * (i + 1), 1_000 * (i + 2)], { dependencies: ['source'] }),
      ),
    ];
    // Ten seconds of transfer for one second of work.
    expect(savings({ wallMs: 3_000, derivations, machines: fleetOf(machineOf('home')) })).toEqual({
      home: 0,
    });
  });

  test('leaves at home what only home may build', () => {
    const derivations = ['a', 'b'].map((name, i) =>
      builtOn('home', name, [i * 1_000, (i + 1) * 1_000], { place: 'prefer-home' }),
    );
    expect(savings({ wallMs: 2_000, derivations, machines: fleetOf(machineOf('home')) })).toEqual({
      home: 0,
    });
  });

  test('is nothing for a job of nothing, and unknown for what is too large', () => {
    const machines = fleetOf(machineOf('home'));
    expect(savings({ wallMs: 100, derivations: [], machines })).toEqual({ home: 0 });
    const derivations = Array.from({ length: 300_000 }, (_, i) => builtOn('home', `d${i}`, [0, 1]));
    expect(whatIf({ wallMs: 100, derivations, machines })).toBeUndefined();
  });

  test('is never less than nothing, nor more than all', () => {
    const node = fc.record({
      needs: fc.array(fc.nat(20), { maxLength: 3 }),
      durationMs: fc.nat(5_000),
      outputBytes: fc.nat(1e9),
      peer: fc.constantFrom('home', 'h2', 'h3'),
    });
    const speed = fc.double({ min: 0.1, max: 8, noNaN: true });
    fc.assert(
      fc.property(fc.array(node, { maxLength: 20 }), speed, speed, fc.nat(50_000), (nodes, a, b, wallMs) => {
        const machines = fleetOf(
          machineOf('home', { slots: 2 }),
          machineOf('h2', { speed: a }),
          machineOf('h3', { speed: b, slots: 3 }),
        );
        const derivations = nodes.map(({ needs, durationMs, outputBytes, peer }, i) =>
          builtOn(peer, `d${i}`, [0, durationMs], {
            outputBytes,
            dependencies: needs.filter((need) => need < i).map((need) => `d${need}`),
          }),
        );
        for (const { savedMs } of whatIf({ wallMs, derivations, machines })!) {
          expect(savedMs).toBeGreaterThanOrEqual(0);
          expect(savedMs).toBeLessThanOrEqual(wallMs);
        }
      }),
    );
  });
});
